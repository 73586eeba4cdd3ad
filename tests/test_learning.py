"""Whether the models learn what can be learned from small planted worlds, and nothing where nothing is."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gnnseg.baselines import EASE, Baseline, ItemKNN, PolynomialFilter, Popularity, SparseEASE
from gnnseg.config import Schedule
from gnnseg.encoders import ENCODERS, Encoder, GraphEncoder, MatrixFactorization, TextMean
from gnnseg.heads import HEADS, SegmentHead, Shared, SubgraphPropagation
from gnnseg.losses import BPR
from gnnseg.model import SegmentRecommender
from gnnseg.segments import OneSegment
from gnnseg.training import start_training, train
from tests.graphs import Planted, checkerboard, planted

SIZE, SEEDS = 24, (0, 1, 2)


CLASSES: list[type[Any]] = [cls for cls in ENCODERS.classes().values() if cls is not TextMean]
"""All encoders that learn; there is nothing in a checkerboard that texts could say."""
WITH_TABLES = [cls for cls in CLASSES if issubclass(cls, GraphEncoder)]
WITHOUT_TABLES = [cls for cls in CLASSES if cls not in WITH_TABLES]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cls", WITH_TABLES)
def test_every_encoder_with_tables_learns_the_checkerboard(cls: type[Encoder], seed: int) -> None:
    torch.manual_seed(seed)
    data, model = checkerboard(SIZE), SegmentRecommender(cls(SIZE, SIZE, dim=8))  # type: ignore[call-arg]
    how = Schedule(epochs=20, learning_rate=0.03, batch_size=64, num_negatives=4, weight_decay=1.0)
    assert data.hit_rate(model.scorer(data.graph), 1) < 1
    state = start_training(model, how, torch.Generator().manual_seed(seed))
    losses = [report.loss for report in train(model, data.graph, BPR(), how, state)]
    assert losses[-1] < 0.7 * losses[0]
    assert data.hit_rate(model.scorer(data.graph), 1) == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("cls", WITHOUT_TABLES)
def test_every_encoder_without_tables_knows_the_checkerboard_before_training(
    cls: type[Any], seed: int
) -> None:
    """What it learns it learns in ``warm_start``; training goes on from there and forgets nothing."""
    torch.manual_seed(seed)
    data, model = checkerboard(SIZE), SegmentRecommender(cls(SIZE, SIZE, dim=8))
    assert data.hit_rate(model.scorer(data.graph), 1) < 1
    model.encoder.warm_start(data.graph)
    assert data.hit_rate(model.scorer(data.graph), 1) == 1
    how = Schedule(epochs=5, learning_rate=0.03, batch_size=64, num_negatives=4)
    state = start_training(model, how, torch.Generator().manual_seed(seed))
    losses = [report.loss for report in train(model, data.graph, BPR(), how, state)]
    assert losses[-1] < losses[0]
    assert data.hit_rate(model.scorer(data.graph), 1) == 1


@pytest.mark.parametrize(
    "baseline",
    [EASE(), EASE(regularization=1.0), ItemKNN(), ItemKNN(shrinkage=0), SparseEASE()],
)
def test_item_models_know_the_checkerboard(baseline: Baseline) -> None:
    data = checkerboard(SIZE)
    assert data.hit_rate(baseline.fit(data.graph), 1) == 1


def test_a_learned_polynomial_knows_the_checkerboard() -> None:
    """A larger one: of 24 users, too few pairs are held out to learn ten coefficients from."""
    data = checkerboard(64)
    assert data.hit_rate(PolynomialFilter().fit(data.graph), 1) == 1


def test_popularity_cannot_know_the_checkerboard() -> None:
    data = checkerboard(SIZE)
    assert data.hit_rate(Popularity().fit(data.graph), 1) <= 0.5


def fine_tuned(world: Planted, cls: type[SegmentHead], memberships: Tensor, seed: int) -> tuple[float, float]:
    """Stage 2 on a frozen encoder: the last training loss, and the hit rate at 5 of held-out pairs."""
    torch.manual_seed(seed)
    graph, dim = world.data.graph, world.embeddings.users.shape[1]
    encoder = MatrixFactorization(graph.num_users, graph.num_items, dim=dim)
    with torch.no_grad():
        encoder.users.weight.copy_(world.embeddings.users)
        encoder.items.weight.copy_(world.embeddings.items)
    segmenter = OneSegment()
    segmenter.learned(memberships=memberships)
    model = SegmentRecommender(encoder)
    model.add_segments(segmenter, cls(dim, memberships.shape[1]), graph)
    how = Schedule(epochs=30, learning_rate=0.03, batch_size=128, num_negatives=4)
    state = start_training(model, how, torch.Generator().manual_seed(seed), stage=2)
    *_, last = train(model, graph, BPR(), how, state)
    return last.loss, world.data.hit_rate(model.scorer(graph), 5)


@pytest.mark.parametrize(
    "cls",
    [cls for cls in HEADS.classes().values() if cls is not Shared],
    ids=lambda cls: cls.__name__,
)
def test_a_head_learns_planted_segments_and_not_shuffled_ones(cls: type[SegmentHead]) -> None:
    found: dict[str, list[tuple[float, float]]] = {"identity": [], "planted": [], "shuffled": []}
    for seed in SEEDS:
        world = planted(seed=seed)
        order = torch.randperm(len(world.memberships), generator=torch.Generator().manual_seed(seed))
        found["identity"].append(fine_tuned(world, Shared, world.memberships, seed))
        found["planted"].append(fine_tuned(world, cls, world.memberships, seed))
        found["shuffled"].append(fine_tuned(world, cls, world.memberships[order], seed))
    loss, hits = ({name: sum(n) / len(SEEDS) for name, n in part} for part in _columns(found))
    # one gate a segment lifts all that its users have alike, and leaves the vectors' own order within it
    most = 1.0 if cls is SubgraphPropagation else 0.45
    assert loss["planted"] < most < most + 0.15 < loss["shuffled"] < loss["identity"]
    assert hits["planted"] > hits["identity"] + 0.4
    assert hits["shuffled"] < hits["identity"] + 0.1


def test_a_head_that_ignores_segments_learns_nothing_here() -> None:
    world = planted()
    loss, hits = fine_tuned(world, Shared, world.memberships, 0)
    assert loss > math.log(2)
    assert hits < 0.5


def _columns(found: dict[str, list[tuple[float, float]]]) -> list[list[tuple[str, list[float]]]]:
    return [[(name, [pair[part] for pair in pairs]) for name, pairs in found.items()] for part in (0, 1)]
