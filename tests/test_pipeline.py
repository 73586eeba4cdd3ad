"""A run from tables to figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnseg.checkpoint import load_run
from gnnseg.config import load_config, load_dataset_config
from gnnseg.errors import CheckpointError, ConfigError, DataError, GnnsegError
from gnnseg.evaluation import evaluate
from gnnseg.fitting import describe_segments
from gnnseg.heads import HEADS
from gnnseg.pipeline import Run, evaluate_run, fit, run
from gnnseg.prepared import prepare
from gnnseg.run_folder import partial_folder
from gnnseg.tracking import Tracker
from tests.runs import (
    EACH,
    FULL,
    PLAIN,
    PLAIN_SEGMENTS,
    RESTLESS,
    SCHEDULE,
    USERS,
    WORDS,
    assert_same,
    contents,
    dataset,
    fill_disk,
    lines_of,
    on_data,
    pairs,
    same_state,
    saved_baseline,
    saved_run,
    scores,
    trained,
    write_data,
)


@pytest.fixture(scope="module")
def plain() -> Run:
    """The global model of the full system."""
    return fit(on_data(FULL, segmenter=None, head=None))


class TestRun:
    def test_learns(self) -> None:
        result = trained()
        untouched = fit(on_data(FULL, train={"epochs": 0}, fine_tune={"epochs": 0}, text=None))
        popular = fit(on_data({"baseline": "Popularity"}))
        assert result.metrics["test"]["ndcg@10"] > 1.3 * popular.metrics["test"]["ndcg@10"]
        assert result.metrics["test"]["ndcg@10"] > 1.3 * untouched.metrics["test"]["ndcg@10"]

    def test_parts_of_the_run(self) -> None:
        result = trained()
        assert {record["stage"] for record in result.history} == {1, 2}
        steps = ["text", "encoder", "segments", "head"]
        assert result.seconds.keys() == {*steps, "local", "fit", "evaluate"}
        assert result.seconds["local"] == 0
        assert all(seconds > 0 for step, seconds in result.seconds.items() if step != "local")
        assert result.seconds["fit"] == pytest.approx(sum(result.seconds[step] for step in steps))
        assert result.peak_memory_mb > 50
        assert result.text is not None
        assert result.text["num_features"] == 6

    def test_metrics(self) -> None:
        metrics = trained().metrics
        names = {"recall@10", "ndcg@10"}
        assert names <= metrics["test"].keys()
        assert metrics["valid"].keys() == names
        assert metrics["test_intervals"].keys() == names
        for name in names:
            interval = metrics["test_intervals"][name]
            assert interval["low"] < interval["mean"] == metrics["test"][name] < interval["high"]
        assert [s["segment"] for s in metrics["segments"]] == [0, 1, 2]
        weighted = sum(
            s["users"] * s["metrics"]["ndcg@10"]["mean"] for s in metrics["segments"] if s["users"]
        )
        assert weighted / sum(s["users"] for s in metrics["segments"]) == pytest.approx(
            metrics["test"]["ndcg@10"]
        )

    def test_a_metric_to_choose_by_that_is_not_measured_needs_no_gap(self) -> None:
        result = trained()
        other = replace(result, config=result.config.model_copy(update={"choose_by": "ndcg@7"}))
        assert other.test_metrics == result.test.means
        assert "segment_gap" in result.test_metrics

    def test_metrics_are_those_of_the_served_scorer(self) -> None:
        result = trained()
        again = evaluate(result.scorer, result.data.parts.test, result.data.seen, ["ndcg@10"])
        assert again.means["ndcg@10"] == result.metrics["test"]["ndcg@10"]

    def test_decision(self) -> None:
        decision = trained().decision
        assert decision is not None
        looks = {
            s: [r["valid_ndcg@10"] for r in trained().history if r["stage"] == s and "valid_ndcg@10" in r]
            for s in (1, 2)
        }
        assert decision["metric"] == "ndcg@10"
        assert decision["global"] >= max(looks[1])
        assert decision["segmented"] == max(decision["global"], *looks[2])
        assert decision["served"] == ("segmented" if decision["segmented"] > decision["global"] else "global")
        assert decision["segmented"] == trained().valid.means["ndcg@10"]

    def test_segments(self) -> None:
        segments = trained().segments
        assert segments is not None
        assert segments["num_segments"] == 3
        assert sum(s["users"] for s in segments["segments"]) == USERS
        assert {"modularity", "silhouette", "stability", "agreement"} <= segments["quality"].keys()
        for name, value in segments["quality"].items():
            interval = segments["quality_intervals"][name]
            assert interval["low"] <= value <= interval["high"]
            assert value == interval["mean"]
        assert segments["outside"] == 0
        assert segments["differences"].keys() == {"items", "words"}
        assert len(segments["differences"]["items"]["pairs"]) == 3

    def test_profiles_hold_what_is_known_of_items_and_users(self) -> None:
        assert trained().segments is not None
        described = trained().segments["segments"]
        names, users = trained().data.dataset.item_names, trained().data.dataset.users
        labels = trained().model.segmenter.labels
        assert len({segment["name"] for segment in described}) == 3
        for segment in described:
            profile = segment["profile"]
            assert set(profile["typical"]) <= set(names)
            assert len(profile["users"]) == 5
            assert set(labels[users.rows(profile["users"])].tolist()) == {segment["segment"]}
        words = {word["name"] for segment in described for word in segment["profile"]["words"]}
        assert words
        assert words <= set(" ".join(WORDS).split())

    def test_quality_of_segments_does_not_depend_on_dropout(self) -> None:
        result = fit(on_data(FULL, encoder=RESTLESS["encoder"], train={**SCHEDULE, "epochs": 1}))
        assert result.model is not None
        first, second = (
            describe_segments(result.config, result.data, result.model, Tracker()) for _ in range(2)
        )
        assert first == second == result.segments

    def test_same_seed_same_result(self) -> None:
        first, second = fit(RESTLESS), fit(RESTLESS)
        assert_same(first, second)

    def test_other_seed_other_weights_same_split(self) -> None:
        first, second = fit(on_data(PLAIN)), fit(on_data(PLAIN), seed=1)
        assert not torch.equal(scores(first), scores(second))
        assert np.array_equal(first.data.parts.test.items, second.data.parts.test.items)

    def test_prepared_data_give_the_same_run(self) -> None:
        config = load_config(on_data(FULL))
        data = prepare(config.dataset, torch.device("cpu"))
        first, second = run(config, prepared=data), run(config, prepared=data)
        assert_same(first, second)
        assert_same(first, fit(on_data(FULL)))
        assert first.seconds["text"] == second.seconds["text"]  # features are made once

    def test_tracker_sees_every_step(self) -> None:
        tasks: list[str] = []

        class Names(Tracker):
            def task(self, name: str, total: int) -> Any:
                tasks.append(name)
                return super().task(name, total)

        run(load_config(on_data(FULL)), tracker=Names())
        assert {"text", "training", "segments", "fine-tuning", "ranking", "segment quality"} <= set(tasks)

    def test_without_validation(self) -> None:
        """Nothing to choose on: training runs its course, and its result is kept."""
        split = {"name": "Random", "valid": 0.0, "test": 0.2}
        config = load_config(on_data(FULL), [f"dataset.split={json.dumps(split)}"])
        result = run(config)
        assert [r["epoch"] for r in result.history if r["stage"] == 1] == list(range(1, 7))
        untouched = run(config.model_copy(update={"train": config.train.model_copy(update={"epochs": 0})}))
        assert not torch.equal(scores(result), scores(untouched))
        assert result.metrics["valid"] == {}
        assert result.decision is not None
        assert result.decision["served"] == "segmented"

    def test_text_of_items_without_text(self, tmp_path: Path) -> None:
        bare = {"name": "Table", "interactions": "ratings.csv", "user": "who", "item": "what"}
        path = write_data(tmp_path, source=bare)
        with pytest.raises(ConfigError, match="dataset 'small' has no item texts; remove it"):
            fit(on_data(FULL, dataset=str(path)))

    def test_more_segments_than_users(self) -> None:
        content = on_data(FULL, segmenter={"name": "KMeans", "num_segments": USERS + 1})
        with pytest.raises(ConfigError, match=rf"number of users {USERS} \(got {USERS + 1}\)"):
            fit(content)


class TestGlobalModel:
    """Segments can only ever be added to the plain encoder."""

    def test_one_segment_and_a_shared_head_are_the_plain_encoder(self, plain: Run) -> None:
        result = fit(on_data(FULL, segmenter="OneSegment", head="Shared"))
        assert torch.equal(scores(result), scores(plain))
        assert {k: v for k, v in result.metrics["test"].items() if k != "segment_gap"} == {
            k: v for k, v in plain.metrics["test"].items() if k != "segment_gap"
        }
        assert result.decision is not None
        assert result.decision["served"] == "global"

    @pytest.mark.parametrize("head", sorted(HEADS.classes()))
    @pytest.mark.parametrize("change", [{"epochs": 0}, {"learning_rate": 0.0}])
    def test_stage_two_starts_there(self, plain: Run, head: str, change: dict[str, Any]) -> None:
        result = fit(on_data(FULL, head=head, fine_tune={**FULL["fine_tune"], **change}))
        assert torch.equal(scores(result), scores(plain))
        assert result.model is not None
        assert plain.model is not None
        assert same_state(result.model.encoder, plain.model.encoder)
        assert result.decision is not None
        assert result.decision["served"] == "global"
        assert result.decision["global"] == result.decision["segmented"]

    def test_a_head_that_does_not_start_there_is_never_called_the_global_model(self) -> None:
        result = fit(on_data(PLAIN_SEGMENTS, fine_tune={"epochs": 0}))
        assert result.decision is not None
        assert result.decision["served"] == "segmented"
        assert result.decision["segmented"] != result.decision["global"]
        assert not scores(result).any()

    def test_falls_back_where_fine_tuning_harms(self, plain: Run) -> None:
        harmful = {**FULL["fine_tune"], "learning_rate": 50.0, "encoder_rate": 1.0}
        result = fit(on_data(FULL, fine_tune=harmful))
        assert len(result.history) > len(plain.history)
        assert result.decision is not None
        assert result.decision["served"] == "global"
        assert torch.equal(scores(result), scores(plain))

    def test_fine_tuning_does_something(self, plain: Run) -> None:
        """The tests above would pass if stage 2 did nothing at all."""
        weak = {**PLAIN["train"], "epochs": 1}
        result = fit(on_data(FULL, train=weak, fine_tune={**FULL["fine_tune"], "encoder_rate": 1.0}))
        assert result.decision is not None
        assert result.decision["served"] == "segmented"
        assert result.decision["segmented"] > result.decision["global"]
        assert not torch.equal(
            scores(result), scores(fit(on_data(FULL, train=weak, segmenter=None, head=None)))
        )


class TestSaved:
    def test_files(self) -> None:
        files = {path.name for path in saved_run().iterdir()}
        common = {
            "README.md",
            "config.yaml",
            "embeddings.safetensors",
            "environment.json",
            "fairness.json",
            "history.jsonl",
            "items.json",
            "manifest.json",
            "metrics.json",
            "model.json",
            "texts.json",
            "users.json",
        }
        assert files == common | {"model.safetensors", "segments.json"}
        assert {path.name for path in saved_baseline().iterdir()} == common
        assert not partial_folder(saved_run()).exists()

    def test_json(self) -> None:
        result = trained()
        metrics = json.loads((saved_run() / "metrics.json").read_text())
        assert metrics == json.loads(json.dumps(result.metrics))
        assert {"test", "valid", "segments"} <= metrics.keys()
        segments = json.loads((saved_run() / "segments.json").read_text())
        assert segments == json.loads(json.dumps(result.segments))
        assert segments.keys() >= {"num_segments", "quality", "segments"}
        assert {"segment", "users", "profile"} <= segments["segments"][0].keys()
        header = json.loads((saved_run() / "model.json").read_text())
        assert (header["format"], header["users"], header["segments"]) == (1, USERS, 3)

    def test_environment(self) -> None:
        about = json.loads((saved_run() / "environment.json").read_text())
        data = trained().data.dataset
        assert about["dataset"]["digest"] == data.digest
        assert about["dataset"]["users"] == data.num_users
        assert about["seconds"]["encoder"] > 0
        assert about["peak_memory_mb"] > 0
        assert about["torch"] == torch.__version__
        assert about["text"] == trained().text

    def test_history_has_a_line_an_epoch(self) -> None:
        assert lines_of(saved_run() / "history.jsonl") == trained().history
        assert [r["epoch"] for r in trained().history if r["stage"] == 1] == list(range(1, 7))

    def test_saved_config_repeats_the_run(self, tmp_path: Path) -> None:
        config = load_config(saved_run() / "config.yaml")
        assert config.resolved() == trained().config.resolved()
        assert_same(fit(saved_run() / "config.yaml", out=tmp_path / "again"), trained())
        first, second = contents(saved_run()), contents(tmp_path / "again")
        assert first.keys() == second.keys()
        for name in first.keys() - {"environment.json", "history.jsonl", "manifest.json"}:
            assert first[name] == second[name], name

    def test_evaluated_again(self) -> None:
        again = evaluate_run(load_run(saved_run()), "test", "cpu")
        metrics = trained().metrics
        assert again["test"] == {k: v for k, v in metrics["test"].items() if k in again["test"]}
        assert {"recall@10", "ndcg@10"} <= again["test"].keys()
        assert again["test_intervals"] == metrics["test_intervals"]
        assert again["segments"] == metrics["segments"]
        valid = evaluate_run(load_run(saved_run()), "valid", "cpu")
        assert {k: valid["valid"][k] for k in metrics["valid"]} == metrics["valid"]

    @pytest.mark.parametrize(
        "rows",
        [
            [(1000 + user, f"i{item:02}", 4) for user, item in pairs(seed=1)],
            [(2000 + user, f"i{item:02}", 4) for user, item in pairs()],
            [(1000 + user, f"j{item:02}", 4) for user, item in pairs()],
            [(1000 + user, f"i{item:02}", 4) for user, item in pairs() if item < 70],
            [(1000 + user, f"i{item:02}", 4) for user, item in pairs() if user < 50],
        ],
    )
    def test_evaluated_on_other_data(self, tmp_path: Path, rows: list[tuple[object, ...]]) -> None:
        write_data(tmp_path)
        fit(on_data(PLAIN, dataset=str(tmp_path / "small.yaml")), out=tmp_path / "run")
        bare = {"name": "Table", "interactions": "ratings.csv", "user": "who", "item": "what"}
        write_data(tmp_path, rows, source=bare)
        saved = load_run(tmp_path / "run")
        other = replace(
            saved,
            config=saved.config.model_copy(update={"dataset": load_dataset_config(tmp_path / "small.yaml")}),
        )
        with pytest.raises(CheckpointError, match="have changed since it was trained; train it again"):
            evaluate_run(other, "test", "cpu")


class TestRefused:
    def test_existing_folder(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "mine.txt").write_text("mine")
        with pytest.raises(CheckpointError, match="exists already; choose another --out or remove it"):
            fit(on_data(PLAIN), out=tmp_path / "run")
        assert contents(tmp_path) == {"run/mine.txt": b"mine"}

    def test_existing_file(self, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("mine")
        with pytest.raises(CheckpointError, match="exists already"):
            fit(on_data(PLAIN), out=tmp_path / "run")
        assert contents(tmp_path) == {"run": b"mine"}

    def test_empty_folder_is_welcome(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        fit(on_data({"baseline": "Popularity"}), out=tmp_path / "run")
        assert load_run(tmp_path / "run").model() is None

    def test_parent_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(CheckpointError, match=r"cannot write .*choose another --out"):
            fit(on_data(PLAIN), out=tmp_path / "file" / "run")
        assert contents(tmp_path) == {"file": b"mine"}

    @pytest.mark.parametrize("name", [".", "..", "/"])
    def test_no_name(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "empty").mkdir()
        monkeypatch.chdir(tmp_path / "empty")
        with pytest.raises(CheckpointError):
            fit(on_data(PLAIN), out=name)
        assert contents(tmp_path) == {}

    @pytest.mark.parametrize(
        "name",
        [
            "config.yaml",
            "history.jsonl",
            "resume.safetensors",
            "manifest.json",
            "model.json",
            "model.safetensors",
            "embeddings.safetensors",
            "users.json",
            "metrics.json",
            "segments.json",
            "environment.json",
        ],
    )
    def test_full_disk(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        dataset()
        with monkeypatch.context() as patch:
            fill_disk(patch, name)
            with pytest.raises(GnnsegError, match=r"cannot write .*No space left on device") as caught:
                fit(on_data(FULL), out=tmp_path / "run")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()

    def test_a_disk_that_fills_up_in_training(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Filling(Tracker):
            def log(self, record: Mapping[str, Any]) -> None:
                if record["epoch"] == 3:
                    fill_disk(monkeypatch, "history.jsonl")

        config = load_config(on_data(PLAIN))
        with pytest.raises(GnnsegError, match=r"cannot write '.*history\.jsonl': No space left on device"):
            run(config, out=tmp_path / "run", tracker=Filling())
        monkeypatch.undo()
        assert not (tmp_path / "run").exists()
        assert torch.equal(scores(run(config, resume=tmp_path / "run")), scores(run(config)))

    def test_a_failure_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="the filters leave nothing"):
            run(load_config(on_data(PLAIN), ["dataset.filters.min_user_items=50"]), out=tmp_path / "run")
        assert list(tmp_path.iterdir()) == []


def test_sizes() -> None:
    """What other tests count on."""
    data = trained().data
    assert (data.dataset.num_users, len(data.dataset.interactions)) == (USERS, USERS * EACH)
    described: Mapping[str, Any] = data.describe()
    assert described["train"] + described["valid"] + described["test"] == USERS * EACH
