from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from gnnseg.config import Config, load_config
from gnnseg.encoders import LightGCN
from gnnseg.errors import TrainingError
from gnnseg.graph import BipartiteGraph
from gnnseg.heads import FiLM
from gnnseg.model import SegmentRecommender
from gnnseg.seeding import numpy_rng
from gnnseg.segments import KMeans
from gnnseg.stages import Best, Progress, fit_stage
from gnnseg.tracking import Task, Tracker
from gnnseg.training import EpochReport, train
from tests.graphs import random_graph
from tests.runs import FULL, PLAIN, on_data, untimed


class Told(Tracker):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.lengths: list[int] = []
        self.advanced = 0

    def log(self, record: Mapping[str, Any]) -> None:
        self.records.append(dict(record))

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        self.lengths.append(total)
        told = self

        class Counted(Task):
            def advance(self, count: int = 1, **fields: float) -> None:
                told.advanced += count

            def fits(self, total: int) -> None:
                told.lengths.append(total)

        yield Counted()


def config_of(**schedule: Any) -> Config:
    return load_config(on_data(PLAIN, train={**PLAIN["train"], **schedule}))


def model_of(graph: BipartiteGraph, seed: int = 0) -> SegmentRecommender:
    torch.manual_seed(seed)
    return SegmentRecommender(LightGCN(graph.num_users, graph.num_items, dim=4, num_layers=1))


def weights_of(model: SegmentRecommender) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def equal(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


class Scripted:
    """A validation metric that was written beforehand; keeps the model's weights at each look."""

    def __init__(self, model: SegmentRecommender, values: list[float]) -> None:
        self.model, self.values, self.looks = model, values, list[dict[str, torch.Tensor]]()

    def __call__(self) -> float:
        self.looks.append(weights_of(self.model))
        return self.values[len(self.looks) - 1]


def fitted(values: list[float], **schedule: Any) -> tuple[SegmentRecommender, Scripted, Best, Progress, Told]:
    graph = random_graph()
    model = model_of(graph)
    validate, told, progress = Scripted(model, values), Told(), Progress()
    best = fit_stage(config_of(**schedule), model, graph, validate, progress, told)
    return model, validate, best, progress, told


def test_the_best_state_is_kept() -> None:
    model, validate, best, _, _ = fitted([0.1, 0.2, 0.5, 0.4, 0.3], epochs=4, evaluate_every=1)
    assert (best.value, best.epoch, best.stale) == (0.5, 2, 2)
    assert equal(weights_of(model), validate.looks[2])
    assert not equal(validate.looks[2], validate.looks[4])


def test_the_start_is_kept_where_training_does_not_help() -> None:
    model, validate, best, _, _ = fitted([0.5, 0.4, 0.5, 0.3], epochs=3, evaluate_every=1)
    assert (best.value, best.epoch) == (0.5, 0)
    assert equal(weights_of(model), validate.looks[0])


def test_patience() -> None:
    model, validate, best, progress, told = fitted(
        [0.1, 0.3, 0.2, 0.2, 0.9], epochs=50, evaluate_every=3, patience=2
    )
    assert len(validate.looks) == 4
    assert [record["epoch"] for record in progress.history] == list(range(1, 10))
    assert best.epoch == 3
    assert equal(weights_of(model), validate.looks[1])
    assert told.lengths == [50, 9]
    assert told.advanced == 9


def test_looks_at_validation_now_and_then_and_at_the_end() -> None:
    _, _, _, progress, told = fitted([0.1, 0.2, 0.3, 0.4], epochs=5, evaluate_every=2)
    looked = [record["epoch"] for record in progress.history if "valid_ndcg@10" in record]
    assert looked == [2, 4, 5]
    assert [record["valid_ndcg@10"] for record in progress.history if record["epoch"] in looked] == [
        0.2,
        0.3,
        0.4,
    ]
    assert told.records == progress.history
    assert {record["stage"] for record in progress.history} == {1}
    assert all(record["loss"] > 0 and record["seconds"] > 0 for record in progress.history)


def test_without_validation_the_last_state_is_kept() -> None:
    nan = float("nan")
    model, validate, best, progress, _ = fitted([nan] * 20, epochs=12, evaluate_every=1, patience=2)
    assert len(progress.history) == 12
    assert best.epoch == 12
    assert equal(weights_of(model), validate.looks[12])
    assert not equal(validate.looks[12], validate.looks[0])


@pytest.mark.parametrize("schedule", [{"epochs": 0}, {"epochs": 3, "learning_rate": 0.0}])
def test_no_training_moves_nothing(schedule: dict[str, Any]) -> None:
    model, _, best, progress, _ = fitted([0.1, 0.2, 0.3], **schedule)
    assert equal(weights_of(model), weights_of(model_of(random_graph())))
    assert len(progress.history) == schedule["epochs"]
    assert (best.epoch > 0) == (schedule["epochs"] > 0)


def test_the_model_is_left_ready_for_use() -> None:
    assert not any(module.training for module in fitted([0.1] * 4, epochs=2)[0].modules())


def test_same_seed_same_training() -> None:
    first, second = (fitted([0.1, 0.2, 0.3, 0.4], epochs=5, evaluate_every=2) for _ in range(2))
    assert equal(weights_of(first[0]), weights_of(second[0]))
    assert untimed(first[3].history) == untimed(second[3].history)


def test_a_loss_that_explodes(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph()
    model = model_of(graph)
    with torch.no_grad():
        model.encoder.items.weight[0] = float("nan")
    with pytest.raises(TrainingError, match="the loss is nan in epoch 1, step 1 of 1; try a lower learning"):
        fit_stage(config_of(epochs=2), model, graph, lambda: 0.1, Progress(), Tracker())


def test_sampler_and_regularizers_of_the_config_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regularizers in stage 1 alone."""
    seen: list[tuple[list[str], str]] = []
    true_train = train

    def watched(*arguments: Any) -> Iterator[EpochReport]:
        *_, sampler, regularizers = arguments
        seen.append(([type(r).__name__ for r in regularizers], type(sampler).__name__))
        return true_train(*arguments)

    monkeypatch.setattr("gnnseg.stages.train", watched)
    graph = random_graph()
    content = on_data(FULL, sampler="Popularity", regularizers=["EmbeddingL2", "SimGCL"])
    config = load_config(content, ["train.epochs=1", "fine_tune.epochs=1", "loss=SquaredError"])
    fit_stage(config, model_of(graph), graph, lambda: 0.1, Progress(), Tracker())
    fit_stage(config, model_of(graph), graph, lambda: 0.1, Progress(stage=2), Tracker())
    assert seen == [(["EmbeddingL2", "SimGCL"], "Popularity"), ([], "Popularity")]


class TestStageTwo:
    @pytest.fixture
    def graph(self) -> BipartiteGraph:
        return random_graph(20, 15)

    def segmented(self, graph: BipartiteGraph) -> SegmentRecommender:
        model = model_of(graph)
        segmenter = KMeans(num_segments=2).fit(graph, model.embed(graph), numpy_rng(0, "segments"))
        model.add_segments(segmenter, FiLM(4, 2))
        return model

    def fine_tuned(
        self, graph: BipartiteGraph, validate: Callable[[], float], **schedule: Any
    ) -> SegmentRecommender:
        model = self.segmented(graph)
        content = on_data(PLAIN, fine_tune={**PLAIN["train"], "evaluate_every": 1, **schedule})
        fit_stage(load_config(content), model, graph, validate, Progress(stage=2), Tracker())
        return model

    def rising(self) -> Callable[[], float]:
        values = iter(range(100))
        return lambda: float(next(values))

    @pytest.mark.parametrize("encoder_rate", [0.0, 0.1])
    def test_what_moves(self, graph: BipartiteGraph, encoder_rate: float) -> None:
        before = self.segmented(graph)
        after = self.fine_tuned(graph, self.rising(), encoder_rate=encoder_rate)
        assert before.head is not None
        assert after.head is not None
        assert not equal(before.head.state_dict(), after.head.state_dict())
        assert equal(before.encoder.state_dict(), after.encoder.state_dict()) == (encoder_rate == 0)
        assert before.segmenter is not None
        assert after.segmenter is not None
        assert equal(before.segmenter.state_dict(), after.segmenter.state_dict())

    def test_falls_back_to_where_it_started(self, graph: BipartiteGraph) -> None:
        falling = iter(range(100, 0, -1))
        after = self.fine_tuned(graph, lambda: float(next(falling)), encoder_rate=0.5)
        assert equal(after.state_dict(), self.segmented(graph).state_dict())
        assert all(
            torch.equal(a, b) for a, b in zip(after.embed(graph), model_of(graph).embed(graph), strict=True)
        )
