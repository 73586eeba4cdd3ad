from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.config import load_config
from gnnseg.encoders import ENCODERS, GraphSAGE, LightGCN
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.heads import HEADS, Experts, FiLM, GroupMLP, LoRA, SegmentHead, Shared, SubgraphPropagation
from gnnseg.model import SegmentRecommender
from gnnseg.segments import KMeans, OneSegment, Segmenter
from tests.graphs import random_graph, randomise

DIM = 5


@pytest.fixture
def graph() -> BipartiteGraph:
    return random_graph()


@pytest.fixture
def model(graph: BipartiteGraph) -> SegmentRecommender:
    return SegmentRecommender(LightGCN(graph.num_users, graph.num_items, dim=DIM))


def fitted(segmenter: Segmenter, model: SegmentRecommender, graph: BipartiteGraph) -> Segmenter:
    return segmenter.fit(graph, model.embed(graph), np.random.default_rng(0))


def equal(first: Embeddings, second: Embeddings) -> bool:
    return all(map(torch.equal, first, second))


def test_without_segments_it_is_the_encoder(graph: BipartiteGraph, model: SegmentRecommender) -> None:
    assert equal(model(graph), model.encoder(graph))


def test_one_segment_and_shared_is_the_encoder_bit_for_bit(
    graph: BipartiteGraph, model: SegmentRecommender
) -> None:
    model.add_segments(fitted(OneSegment(), model, graph), Shared(DIM, 1))
    assert equal(model(graph), model.encoder(graph))
    users = torch.arange(graph.num_users)
    expected = SegmentRecommender(model.encoder).scorer(graph).score(users)
    assert torch.equal(model.scorer(graph).score(users), expected)


@pytest.mark.parametrize("head", [FiLM(DIM, 3), LoRA(DIM, 3)], ids=["FiLM", "LoRA"])
def test_stage_two_starts_at_the_global_model(
    graph: BipartiteGraph, model: SegmentRecommender, head: SegmentHead
) -> None:
    model.add_segments(fitted(KMeans(num_segments=3), model, graph), head)
    assert equal(model(graph), model.encoder(graph))


def test_the_head_gets_the_memberships(graph: BipartiteGraph, model: SegmentRecommender) -> None:
    segmenter, head = fitted(KMeans(num_segments=3), model, graph), FiLM(DIM, 3)
    randomise(head)
    model.add_segments(segmenter, head)
    expected = head(model.encoder(graph), segmenter.memberships)
    assert equal(model(graph), expected)
    assert not torch.allclose(expected.users, model.encoder(graph).users)


def test_segments_change_the_scores(graph: BipartiteGraph, model: SegmentRecommender) -> None:
    head = FiLM(DIM, 3)
    randomise(head)
    before = model(graph)
    model.add_segments(fitted(KMeans(num_segments=3), model, graph), head)
    assert not equal(model(graph), before)


@pytest.mark.parametrize("training", [True, False])
def test_embed_is_without_dropout_and_gradients_and_keeps_the_mode(
    graph: BipartiteGraph, training: bool
) -> None:
    model = SegmentRecommender(GraphSAGE(graph.num_users, graph.num_items, dim=DIM, dropout=0.5))
    model.train(training)
    first = model.embed(graph)
    assert model.training is training
    assert model.encoder.training is training
    assert not first.users.requires_grad
    assert equal(first, model.embed(graph))


def test_scorer_is_the_dot_product(graph: BipartiteGraph, model: SegmentRecommender) -> None:
    embeddings = model.embed(graph)
    found = model.scorer(graph).score(torch.tensor([3, 1]))
    torch.testing.assert_close(found, embeddings.users[[3, 1]] @ embeddings.items.T)


def test_fold_in_without_segments_passes_on(graph: BipartiteGraph, model: SegmentRecommender) -> None:
    users = torch.randn(4, DIM)
    found, memberships = model.fold_in(users, model.embed(graph).items)
    assert found is users
    assert memberships is None


def test_fold_in_of_known_users_is_the_model(graph: BipartiteGraph, model: SegmentRecommender) -> None:
    segmenter, head = fitted(KMeans(num_segments=3), model, graph), FiLM(DIM, 3, dropout=0.5)
    randomise(head)
    model.add_segments(segmenter, head)
    model.train()
    plain = model.encoder(graph)
    found, memberships = model.fold_in(plain.users, plain.items)
    assert memberships is not None
    torch.testing.assert_close(memberships, segmenter.memberships)
    torch.testing.assert_close(found, model.embed(graph).users)
    assert not found.requires_grad


def test_state_dict_holds_segments(graph: BipartiteGraph, model: SegmentRecommender) -> None:
    head = LoRA(DIM, 3)
    randomise(head)
    model.add_segments(fitted(KMeans(num_segments=3), model, graph), head)
    other = SegmentRecommender(LightGCN(11, 8, dim=DIM), KMeans(num_segments=3), LoRA(DIM, 3))
    other.load_state_dict(model.state_dict())
    assert equal(other.embed(graph), model.embed(graph))
    new = torch.randn(4, DIM), torch.randn(8, DIM)
    assert torch.equal(other.fold_in(*new)[0], model.fold_in(*new)[0])


@pytest.mark.parametrize("cls", [Experts, SubgraphPropagation])
def test_heads_that_need_the_graph_get_it(
    graph: BipartiteGraph, model: SegmentRecommender, cls: type[SegmentHead]
) -> None:
    segmenter, head = fitted(KMeans(num_segments=3), model, graph), cls(DIM, 3)
    model.add_segments(segmenter, head, graph)
    randomise(head)
    users = torch.arange(graph.num_users)
    found, plain = model.embed(graph), model.encoder(graph)
    torch.testing.assert_close(model.scorer(graph).score(users), found.users @ found.items.T)
    new, _ = model.fold_in(plain.users[:4], plain.items)
    torch.testing.assert_close(new, found.users[:4])


def test_a_head_that_scores_pairs_itself_is_asked_for_scores(
    graph: BipartiteGraph, model: SegmentRecommender
) -> None:
    assert model.product is None
    segmenter, head = fitted(KMeans(num_segments=3), model, graph), GroupMLP(DIM, 3, hidden=4)
    model.add_segments(segmenter, FiLM(DIM, 3))
    assert model.product is None
    model.add_segments(segmenter, head)
    randomise(head)
    found = model.embed(graph)
    assert model.product is not None
    pairs = model.product(found.users.unsqueeze(1), found.items)
    torch.testing.assert_close(model.scorer(graph).score(torch.arange(graph.num_users)), pairs)


@pytest.mark.parametrize(
    ("head", "most"),
    [
        ("FiLM", 0.01),
        ("LoRA", 0.02),
        ({"name": "LoRA", "on": "both"}, 0.04),
        ({"name": "LoRA", "rank": 16}, 0.1),
    ],
)
def test_fine_tuning_trains_few_parameters_of_the_bundled_model(head: object, most: float) -> None:
    """At most 10 % is what is promised; sizes are those of the bundled MovieLens and its text encoder."""
    config = load_config("movielens/full")
    encoder = ENCODERS.create(config.encoder, 663, 2398, torch.zeros(2398, 384))
    model = SegmentRecommender(encoder)
    model.add_segments(OneSegment(), HEADS.create(head, encoder.dim, config.segmenter["num_segments"]))
    counts = model.parameter_counts()
    assert model.trainable_share == counts["trainable"] / counts["total"]
    assert 0 < model.trainable_share <= most


def test_parameter_counts(graph: BipartiteGraph, model: SegmentRecommender) -> None:
    encoder = (11 + 8) * DIM
    assert model.parameter_counts() == {"total": encoder, "trainable": encoder}
    model.add_segments(fitted(KMeans(num_segments=3), model, graph), FiLM(DIM, 3))
    assert model.parameter_counts() == {"total": encoder + 2 * 3 * DIM, "trainable": 2 * 3 * DIM}
    model.add_segments(fitted(OneSegment(), model, graph), Shared(DIM, 1))
    assert model.parameter_counts() == {"total": encoder, "trainable": 0}
