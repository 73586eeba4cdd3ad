"""One, two and three processes train the same model; uneven parts and one without users included."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from gnnseg import losses
from gnnseg.checkpoint import load_run
from gnnseg.config import Config, load_config
from gnnseg.distributed import own_device, refuse
from gnnseg.encoders import ENCODERS
from gnnseg.errors import CheckpointError, ConfigError, TrainingError
from gnnseg.evaluation import evaluate
from gnnseg.fitting import fit_scorer
from gnnseg.pipeline import evaluate_run, fit, run
from gnnseg.resume import load_resume
from gnnseg.run_folder import SHARDS, partial_folder
from gnnseg.scoring import DotProduct
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Tracker
from tests.graphs import dense_normalised, random_graph
from tests.ranks.shared import (
    CASES,
    DIM,
    FROM_TWO,
    KEPT,
    LAYERS,
    LIGHTGCN,
    LONG,
    MF,
    SEGMENTED,
    SIZE,
    TRAIN,
    TWO,
    WEIGHTS,
    WILD,
    alone,
    both_alone,
    data,
    long,
    world,
)
from tests.runs import ITEMS, USERS, lines_of, on_data, workspace


def close(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Losses to 1e-5, relative; the metric, which can change by a place in one list, to 1e-4."""
    for key, tolerance in (("loss", {"rel": 1e-5}), ("valid_ndcg@10", {"abs": 1e-4})):
        values = [[record[key] for record in history if key in record] for history in (found, expected)]
        assert values[0] == pytest.approx(values[1], **tolerance)
        assert values[1]


CASES_OF = [(2, name) for name in (*TWO, "bpr-even", "all-pairs-mf-even")]
CASES_OF += [(3, name) for name in (*CASES, "all-pairs-mf-even")]


class TestEqualsOneProcess:
    @pytest.mark.parametrize(("size", "name"), CASES_OF)
    def test_losses_and_validation(self, name: str, size: int) -> None:
        close(world(size).history(name), alone(name.removesuffix("-even"))[1])

    @pytest.mark.parametrize(("size", "name"), CASES_OF)
    def test_recall(self, name: str, size: int) -> None:
        """Of the whole tables, as process 0 has them in the end."""
        model = alone(name.removesuffix("-even"))[0]
        expected = evaluate(model.scorer(data().graph), data().parts.test, data().seen, ["recall@10"])
        model.load_state_dict(world(size).tensors(name))
        found = evaluate(model.scorer(data().graph), data().parts.test, data().seen, ["recall@10"])
        alone.cache_clear()
        assert found.means["recall@10"] == pytest.approx(expected.means["recall@10"], abs=1e-4)

    @pytest.mark.parametrize(("size", "name"), CASES_OF)
    def test_replicated_tables_are_the_same_bits(self, name: str, size: int) -> None:
        own = [world(size).tensors(name, rank) for rank in range(size)]
        for rank in range(1, size):
            assert torch.equal(own[rank]["encoder.items.weight"], own[0]["encoder.items.weight"])
        parts = [own[rank]["encoder.users.weight"] for rank in range(1, size)]
        rest = torch.cat(parts)
        assert torch.equal(own[0]["encoder.users.weight"][USERS - len(rest) :], rest)

    @pytest.mark.parametrize("size", [2, 3])
    def test_propagation_is_that_of_the_whole_graph_both_ways(self, size: int) -> None:
        graph = random_graph(*SIZE)
        dense = dense_normalised(graph)
        matrix = sum(w * torch.linalg.matrix_power(dense, k) for k, w in enumerate(WEIGHTS))
        generator = torch.Generator().manual_seed(3)
        x, upstream = torch.randn(2, graph.num_nodes, 3, generator=generator).double()
        for rank in range(size):
            found = world(size).tensors("product", rank)
            rows = found["rows"]
            np.testing.assert_allclose(found["result"], (matrix @ x)[rows], atol=1e-6)
            np.testing.assert_allclose(found["grad"], (matrix.T @ upstream)[rows], atol=1e-6)

    @pytest.mark.parametrize("size", [2, 3])
    def test_bytes_are_those_of_the_formula(self, size: int) -> None:
        """``2L * 2(P-1)/P * I d * 4`` a step, and ``L`` sums for each look at validation."""
        ring, table = 2 * (size - 1) / size, ITEMS * DIM * 4
        steps, looks = TRAIN["epochs"] * -(-data().graph.num_edges // 150), 3
        for rank in range(size):
            found = world(size).moved("bpr", rank)
            assert found["propagation"] == pytest.approx(ring * table * LAYERS * (2 * steps + looks))
            assert found["gradients"] == pytest.approx(ring * table * steps)
            assert found["losses"] == pytest.approx(ring * 4 * (steps + TRAIN["epochs"]))
            without = world(size).moved("bpr-mf", rank)
            assert "propagation" not in without or not without["propagation"]
            assert without["gradients"] == found["gradients"]


BOTH = [(2, "film"), *((3, name) for name in SEGMENTED)]


class TestBothStages:
    @pytest.mark.parametrize(("size", "name"), BOTH)
    def test_losses_and_validation(self, name: str, size: int) -> None:
        expected = both_alone(name)[1]
        assert {record["stage"] for record in expected} == {1, 2}
        close(world(size).history(name), expected)

    @pytest.mark.parametrize(("size", "name"), BOTH)
    def test_segments_and_scores(self, name: str, size: int) -> None:
        """Everybody is in the segment that one process finds, and the tables are the same within rounding."""
        model, found = both_alone(name)[0].model, world(size).tensors(name)
        assert model is not None
        own = found["segmenter.memberships"]
        assert model.segmenter is not None
        assert torch.equal(own.argmax(1), model.segmenter.labels)
        assert len(own.argmax(1).unique()) > 1
        for key, expected in model.state_dict().items():
            np.testing.assert_allclose(found[key], expected, atol=2e-3, err_msg=key)

    def test_bytes_of_a_frozen_encoder(self) -> None:
        """It runs once for training and once a look; each step sums the gradients of the head alone."""
        for size in (2, 3):
            ring, table = 2 * (size - 1) / size, ITEMS * DIM * 4
            steps = TRAIN["epochs"] * -(-data().graph.num_edges // 150)
            found = world(size).moved("film")
            assert found["propagation"] == pytest.approx(ring * table * LAYERS * (2 * steps + 3 + 1 + 3))
            assert found["gradients"] == pytest.approx(ring * steps * (table + 2 * 3 * DIM * 4))


def test_saved_by_two_and_resumed_by_one() -> None:
    world(2)
    out = workspace() / "long-2"
    assert len(list(partial_folder(out).glob(SHARDS))) >= 2  # one may have written its next rows already
    result = run(load_config(on_data(LONG)), out=out, resume=out)
    close(lines_of(out / "history.jsonl"), long().history)
    assert result.metrics["test"]["recall@10"] == pytest.approx(long().metrics["test"]["recall@10"], abs=1e-4)


@pytest.mark.parametrize("name", ["long-3", FROM_TWO])
def test_saved_by_one_or_two_and_resumed_by_three(name: str) -> None:
    """The folder is that of any run."""
    world(3)
    saved = load_run(workspace() / name)
    close(lines_of(saved.folder / "history.jsonl"), long().history)
    assert isinstance(saved.scorer, DotProduct)
    found, expected = evaluate_run(saved, "test", "cpu")["test"], long().test.per_user
    for metric in ("recall@10", "ndcg@10"):
        assert found[metric] == pytest.approx(expected[metric].mean(), abs=1e-4)
    assert not partial_folder(saved.folder).exists()
    assert not list(saved.folder.glob("resume*"))


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_shard_is_refused_by_name(harm: str, tmp_path: Path) -> None:
    world(3)
    folder = tmp_path / "run"
    shutil.copytree(workspace() / KEPT, folder)
    shard = sorted(folder.glob(SHARDS))[1]
    if harm == "cut":
        shard.write_bytes(shard.read_bytes()[:-1])
    else:
        shard.unlink()
    with pytest.raises(CheckpointError, match=shard.name):
        load_resume(folder, load_config(on_data(LONG)))


def test_when_one_hangs_the_others_say_so() -> None:
    """Whoever waits longest says why; another may find only that this one stopped."""
    said = [(world(3).folder / f"hang.{rank}.error").read_text(encoding="utf-8") for rank in range(2)]
    assert all(f"process {rank} of 3 stops, as another one" in said[rank] for rank in range(2))
    assert any("did not answer for 2 s (waiting for losses)" in one for one in said)


def test_when_one_dies_the_others_say_so_and_stop() -> None:
    assert world(3).codes[2] == 9
    for rank in range(2):
        assert f"process {rank} of 3 stops, as another one stopped" in world(3).error("last", rank)


def test_all_find_a_loss_that_is_not_finite() -> None:
    """In the step where one process alone finds it."""
    with pytest.raises(TrainingError) as alone_found:
        fit(on_data(WILD))
    for rank in range(3):
        assert world(3).error("wild", rank) == str(alone_found.value)


def test_a_baseline_is_fitted_in_one_process() -> None:
    experiment, progress = load_config(on_data({"baseline": "EASE"}, name="x")), Progress(ranks=Mock())
    with pytest.raises(ConfigError, match="a baseline is fitted in one process; start it without torchrun"):
        fit_scorer(experiment, data(), progress, Tracker(), Clock())


class Own(losses.BPR):
    def of(self, tables: Any, batch: Any) -> Any:
        return super().of(tables, batch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "SpectralFilter"}, r"encoder LightGCN or MatrixFactorization \(got SpectralFilter\)"),
        ({"encoder": "GraphSAGE"}, "got GraphSAGE"),
        ({"encoder": {**LIGHTGCN, "edge_dropout": 0.1}}, "'edge_dropout' and 'message_dropout' 0"),
        ({"encoder": {**LIGHTGCN, "message_dropout": 0.1}}, "'edge_dropout' and 'message_dropout' 0"),
        ({"sampler": "Popularity"}, r"sampler Uniform \(got Popularity\)"),
        (
            {"regularizers": ["EmbeddingL2", "SimGCL"]},
            r"no regularizer but EmbeddingL2 \(got EmbeddingL2, S",
        ),
        ({"train": {"precision": "float16"}}, r"float32 or bfloat16 \(got float16\)"),
        ({"loss": "tests.test_distributed.Own"}, r"a loss that is a mean over pairs \(got tests.test_dis"),
    ],
)
def test_what_they_cannot_do_is_refused(changes: dict[str, Any], message: str) -> None:
    experiment: Config = load_config(on_data({"encoder": LIGHTGCN, **changes}, name="x"))
    encoder = ENCODERS.create(experiment.encoder or {}, 3, 4, None)
    with pytest.raises(ConfigError, match=f"in several processes needs .*{message}"):
        refuse(experiment, encoder)


def test_a_sampler_that_is_not_asked_is_no_matter() -> None:
    experiment = load_config(on_data({"encoder": MF, "sampler": "InBatch", "loss": "FullSoftmax"}, name="x"))
    refuse(experiment, ENCODERS.create(experiment.encoder or {}, 3, 4, None))


def test_each_process_has_the_device_of_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_device("cpu") == torch.device("cpu")
    monkeypatch.setattr("gnnseg.distributed.find_device", torch.device)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device("cuda") == torch.device("cuda:3")
    assert own_device("cuda:1") == torch.device("cuda:1")
