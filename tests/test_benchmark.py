from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnnseg.benchmark import ORDER, QUICK_EPOCHS, benchmark, choose_models
from gnnseg.config import load_config, load_dataset_config, shipped_configs
from gnnseg.errors import ConfigError
from gnnseg.files import to_json
from gnnseg.pipeline import fit
from gnnseg.statistics import holm
from gnnseg.tracking import Tracker
from tests.runs import FULL, PLAIN, SCHEDULE, USERS, dataset, on_data, trained, workspace, write_yaml

METRICS = ["recall@10", "ndcg@10"]
NUMBER, COUNT, TEXT = float, int, str
INTERVAL = {"mean": NUMBER, "low": NUMBER, "high": NUMBER}

SCHEMA: dict[str, Any] = {
    "format": COUNT,
    "command": TEXT,
    "dataset": {
        "name": TEXT,
        "digest": TEXT,
        "users": COUNT,
        "items": COUNT,
        "train": COUNT,
        "valid": COUNT,
        "test": COUNT,
    },
    "protocol": {
        "split": dict,
        "metrics": [TEXT],
        "chosen_on": TEXT,
        "filters": dict,
        "seen_masked": [TEXT],
        "skipped_users": COUNT,
        "dropped_interactions": COUNT,
    },
    "models": [
        {
            "name": TEXT,
            "config": dict,
            "parameters": {"total": COUNT, "trainable": COUNT},
            "runs": [
                {
                    "seed": COUNT,
                    "metrics": dict,
                    "valid_metrics": dict,
                    "segments": [{"segment": COUNT, "users": COUNT, "metrics": dict}],
                    "decision": (dict, None),
                    "mixture": (dict, None),
                    "local": (dict, None),
                    "seconds": dict.fromkeys(
                        ("text", "encoder", "segments", "head", "local", "fit", "evaluate"), NUMBER
                    ),
                    "peak_memory_mb": NUMBER,
                    "text": (dict, None),
                }
            ],
            "metrics": dict.fromkeys(METRICS, INTERVAL),
        }
    ],
    "comparisons": [
        {
            "model": TEXT,
            "baseline": TEXT,
            "metric": TEXT,
            "difference": NUMBER,
            "relative": (NUMBER, None),
            "low": NUMBER,
            "high": NUMBER,
            "p": NUMBER,
            "p_adjusted": NUMBER,
            "users": COUNT,
        }
    ],
    "environment": {
        "gnnseg": TEXT,
        "python": TEXT,
        "torch": TEXT,
        "device": TEXT,
        "cpu": TEXT,
        "threads": COUNT,
        "started": TEXT,
        "seconds": NUMBER,
    },
}
"""Every key of ``results.json`` and the type of its value; scripts outside the project rely on it."""


def problems(value: Any, schema: Any, where: str = "results") -> Iterator[str]:
    """Where a value departs from a schema."""
    if isinstance(schema, tuple):
        if value is not None:
            yield from problems(value, schema[0], where)
    elif isinstance(schema, dict):
        if not isinstance(value, dict) or value.keys() != schema.keys():
            yield f"{where}: keys {sorted(value)}, not {sorted(schema)}"
        else:
            for key, inner in schema.items():
                yield from problems(value[key], inner, f"{where}.{key}")
    elif isinstance(schema, list):
        if not isinstance(value, list):
            yield f"{where}: {type(value).__name__}, not list"
        else:
            for position, inner in enumerate(value):
                yield from problems(inner, schema[0], f"{where}[{position}]")
    elif type(value) is not schema:
        yield f"{where}: {value!r} is no {schema.__name__}"


@functools.cache
def models() -> tuple[str, ...]:
    """Config files of a benchmark; what they say of data and seed does not count there."""
    folder = workspace() / "models"
    folder.mkdir()
    contents = {
        "popular": {"baseline": "Popularity", "dataset": "movielens"},
        "copy": {"baseline": "Popularity", "seed": 5},
        "plain": PLAIN,
        "full": FULL,
    }
    return tuple(str(write_yaml(folder / f"{name}.yaml", content)) for name, content in contents.items())


@functools.cache
def results() -> dict[str, Any]:
    return benchmark(dataset(), models(), seeds=2, device="cpu")


@functools.cache
def written() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_json(results()))
    return found


def test_schema() -> None:
    assert list(problems(written(), SCHEMA)) == []


def test_the_schema_test_can_fail() -> None:
    bad = json.loads(to_json(results()))
    bad["models"][3]["runs"][0]["seconds"]["fit"] = "1"
    del bad["environment"]["cpu"]
    bad["comparisons"][0]["p"] = None
    assert len(list(problems(bad, SCHEMA))) == 3


def test_what_results_say() -> None:
    found = written()
    assert (found["format"], found["command"]) == (1, "benchmark")
    data = trained().data
    assert found["dataset"] == data.describe() | {"name": "small"}
    assert found["protocol"]["metrics"] == METRICS
    assert found["protocol"]["chosen_on"] == "valid"
    assert found["protocol"]["split"] == {
        "name": "Random",
        "valid": 0.15,
        "test": 0.15,
        "seed": 0,
        "order": "table",
    }
    assert found["protocol"]["skipped_users"] == 0
    assert [model["name"] for model in found["models"]] == ["popular", "copy", "plain", "full"]
    for model in found["models"]:
        assert [run["seed"] for run in model["runs"]] == [0, 1]
        assert set(METRICS) <= model["runs"][0]["metrics"].keys()
        assert model["runs"][0]["valid_metrics"].keys() == set(METRICS)
        assert model["config"]["dataset"]["name"] == "small"
        assert model["config"]["seed"] == 0
    parameters = [model["parameters"]["total"] for model in found["models"]]
    assert parameters[:2] == [0, 0]
    assert 0 < parameters[2] < parameters[3]
    assert [len(model["runs"][0]["segments"]) for model in found["models"]] == [0, 0, 0, 3]
    assert [model["runs"][0]["decision"] is None for model in found["models"]] == [True, True, True, False]


def test_a_run_is_the_one_that_train_gives() -> None:
    for model, content in ((written()["models"][2], PLAIN), (written()["models"][3], FULL)):
        for run in model["runs"]:
            alone = fit(on_data(content), seed=run["seed"])
            assert run["metrics"] == alone.test.means
            assert run["valid_metrics"] == alone.valid.means
            assert run["segments"] == json.loads(to_json(alone.segment_metrics()))


def test_figures_are_the_mean_over_seeds() -> None:
    for model in written()["models"]:
        for metric in METRICS:
            interval = model["metrics"][metric]
            assert interval["mean"] == pytest.approx(np.mean([r["metrics"][metric] for r in model["runs"]]))
            assert interval["low"] < interval["mean"] < interval["high"]


def test_the_last_model_against_each_other_one() -> None:
    found = written()
    pairs = [(c["metric"], c["model"], c["baseline"]) for c in found["comparisons"]]
    assert pairs == [(m, "full", other) for m in METRICS for other in ("popular", "copy", "plain")]
    means = {(m["name"], metric): m["metrics"][metric]["mean"] for m in found["models"] for metric in METRICS}
    for c in found["comparisons"]:
        difference = means["full", c["metric"]] - means[c["baseline"], c["metric"]]
        assert c["difference"] == pytest.approx(difference)
        assert c["relative"] == pytest.approx(difference / means[c["baseline"], c["metric"]])
        assert c["low"] <= c["difference"] <= c["high"]
        assert 0 <= c["p"] <= c["p_adjusted"] <= 1
        assert c["users"] == USERS - found["protocol"]["skipped_users"]


def test_p_values_are_adjusted_within_a_metric() -> None:
    for metric in METRICS:
        rows = [c for c in written()["comparisons"] if c["metric"] == metric]
        assert len(rows) == 3
        assert [c["p_adjusted"] for c in rows] == pytest.approx(holm([c["p"] for c in rows]))
        assert min(c["p"] for c in rows) < min(c["p_adjusted"] for c in rows)


def test_equal_models_do_not_differ() -> None:
    popular, copy = benchmark(dataset(), models()[:2], seeds=1, device="cpu")["models"]
    assert popular["metrics"] == copy["metrics"]
    [comparison] = benchmark(dataset(), models()[:2], seeds=1, device="cpu")["comparisons"][:1]
    assert (comparison["difference"], comparison["p"], comparison["p_adjusted"]) == (0, 1, 1)


def test_one_model_is_compared_with_nothing() -> None:
    found = benchmark(dataset(), models()[:1], seeds=1, device="cpu")
    assert found["comparisons"] == []
    assert list(problems(json.loads(to_json(found)), SCHEMA)) == []


def test_numbers_that_do_not_exist_are_null(tmp_path: Path) -> None:
    """A model that finds nothing has no relative difference; no table may say nan."""
    hopeless = load_dataset_config(dataset()).model_dump(mode="json") | {"metrics": ["hit@1"]}
    # the least popular items first would do too, but one rank of one user may still hit
    found = benchmark(str(write_yaml(tmp_path / "d.yaml", hopeless)), models()[:2], seeds=1, device="cpu")
    for c in found["comparisons"]:
        assert c["relative"] is None or math.isfinite(c["relative"])


def test_same_users_for_all() -> None:
    sizes = {len(found) for found in _per_user().values()}
    assert sizes == {USERS}


def _per_user() -> dict[str, np.ndarray]:
    data = trained().data
    runs = {name: fit(on_data(content)) for name, content in (("plain", PLAIN), ("full", FULL))}
    users = {name: run.test.users for name, run in runs.items()}
    assert all(np.array_equal(found, np.unique(data.parts.test.users)) for found in users.values())
    return {name: run.test.per_user["ndcg@10"] for name, run in runs.items()}


def test_quick() -> None:
    content = {**PLAIN, "train": {**SCHEDULE, "epochs": QUICK_EPOCHS + 5, "patience": 100}}
    path = write_yaml(workspace() / "slow.yaml", content)
    logged: list[int] = []

    class Epochs(Tracker):
        def task(self, name: str, total: int) -> Any:
            logged.extend([total] if name == "training" else [])
            return super().task(name, total)

    found = benchmark(dataset(), [str(path)], seeds=3, quick=True, device="cpu", tracker=Epochs())
    assert [run["seed"] for run in found["models"][0]["runs"]] == [0]
    assert logged == [QUICK_EPOCHS]


class TestChoosing:
    def test_all_of_a_dataset_in_the_order_of_the_table(self) -> None:
        names = [path.stem for path in choose_models("movielens", None)]
        assert [name for name in names if name in ORDER] == list(ORDER)
        assert names[-1] == "full"
        assert {f"movielens/{n}" for n in names} == {
            n for n in shipped_configs() if n.startswith("movielens/")
        }

    def test_another_datasets_models(self) -> None:
        assert choose_models("small", None) == choose_models("movielens", None)

    def test_by_name_in_the_order_given(self) -> None:
        paths = choose_models("movielens", ["full", "ease", "movielens/mf", models()[0]])
        assert [path.stem for path in paths] == ["full", "ease", "mf", "popular"]

    def test_unknown_model(self) -> None:
        with pytest.raises(ConfigError, match="unknown model 'lightgnc'; did you mean 'lightgcn'"):
            benchmark(dataset(), ["lightgnc", "ease"])

    def test_unknown_dataset(self) -> None:
        with pytest.raises(ConfigError, match="unknown dataset 'movielenz'; did you mean 'movielens'"):
            benchmark("movielenz")

    def test_missing_file(self) -> None:
        with pytest.raises(ConfigError, match=r"there is no config 'mine\.yaml'"):
            benchmark(dataset(), ["mine.yaml"])

    def test_no_model(self) -> None:
        with pytest.raises(ConfigError, match="'models' must name at least one"):
            benchmark(dataset(), [])

    def test_same_name_twice(self, tmp_path: Path) -> None:
        other = write_yaml(tmp_path / "plain.yaml", PLAIN)
        with pytest.raises(ConfigError, match=r"models must have different names \(got plain, plain\)"):
            benchmark(dataset(), [models()[2], str(other)])

    @pytest.mark.parametrize("seeds", [0, -1])
    def test_seeds(self, seeds: int) -> None:
        with pytest.raises(ConfigError, match=rf"'seeds' must be positive \(got {seeds}\)"):
            benchmark(dataset(), models(), seeds=seeds)

    def test_device(self) -> None:
        with pytest.raises(ConfigError, match="'device' must be auto, cpu, cuda, cuda:N or mps"):
            benchmark(dataset(), models(), device="tpu")


class TestWithoutText:
    @pytest.fixture
    def textless(self, tmp_path: Path) -> str:
        rows = "\n".join(f"{u},{i}" for u in range(12) for i in range(8) if (u + i) % 2)
        (tmp_path / "pairs.csv").write_text(f"user,item\n{rows}\n")
        content = {"source": {"name": "Table", "interactions": "pairs.csv"}, "metrics": METRICS}
        return str(write_yaml(tmp_path / "textless.yaml", content))

    def test_models_that_need_text_are_left_out(
        self, textless: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gnnseg.benchmark.run", lambda config, **_: pytest.fail(config.name))
        with pytest.raises(pytest.fail.Exception, match="popularity"):
            benchmark(textless)
        left_out = "plain-segments, plain-segments-tuned, lightgcn-text, graphsage-text, full"
        assert f"no item texts; left out: {left_out}" in caplog.text

    def test_one_that_was_asked_for_is_refused_before_any_training(
        self, textless: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gnnseg.benchmark.run", lambda config, **_: pytest.fail(config.name))
        with pytest.raises(ConfigError, match="has no item texts, which lightgcn-text need"):
            benchmark(textless, ["popularity", "lightgcn-text"])


def test_first_seed() -> None:
    found = benchmark(dataset(), [*models()][:1], seeds=2, seed=5)
    assert [run["seed"] for run in found["models"][0]["runs"]] == [5, 6]


def test_configs_keep_their_own_hyper_parameters() -> None:
    config = load_config(models()[3], dataset=dataset())
    assert written()["models"][3]["config"]["encoder"] == json.loads(json.dumps(config.encoder))
