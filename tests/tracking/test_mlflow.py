from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from gnnseg.errors import ConfigError, GnnsegError
from gnnseg.pipeline import fit
from gnnseg.tracking import MLflow
from gnnseg.tracking.mlflow import PARAMETERS_AT_ONCE
from tests.runs import PLAIN, on_data

CONFIG = {"name": "small", "encoder": {"dim": 8}, "text": None, "long": "x" * 900}
FIRST = {"stage": 1, "epoch": 1, "loss": 0.5, "valid_ndcg@10": 0.25}
SECOND = {"stage": 2, "epoch": 1, "loss": 0.125, "valid_ndcg@10": float("nan")}


class Stand(ModuleType):
    """Stands in for ``mlflow``: a store in memory that refuses what MLflow's refuses."""

    class MlflowException(Exception):  # noqa: N818 - its name there
        pass

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.uris: list[str] = []
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.full = False

    def MlflowClient(self, tracking_uri: str) -> Stand:
        self.uris.append(tracking_uri)
        return self

    def get_experiment_by_name(self, name: str) -> Any:
        found = self.experiments.get(name)
        return None if found is None else SimpleNamespace(experiment_id=found)

    def create_experiment(self, name: str) -> str:
        self.experiments[name] = str(len(self.experiments))
        return self.experiments[name]

    def create_run(self, experiment: str, run_name: str) -> Any:
        name = f"id-{len(self.runs)}"
        self.runs[name] = {"name": run_name, "params": {}, "metrics": {}, "status": "RUNNING"}
        return SimpleNamespace(info=SimpleNamespace(run_id=name))

    def delete_run(self, name: str) -> None:
        if name not in self.runs:
            raise self.MlflowException("no such run")
        self.runs[name]["status"] = "DELETED"

    def log_batch(self, name: str, metrics: Any = (), params: Any = ()) -> None:
        if self.full:
            raise self.MlflowException("disk\nfull")
        assert len(params) <= PARAMETERS_AT_ONCE
        assert not any("@" in m[0] for m in metrics)
        self.runs[name]["params"] |= dict(params)
        for key, value, _, step in metrics:
            self.runs[name]["metrics"].setdefault(key, []).append((step, value))

    def set_terminated(self, name: str, status: str) -> None:
        self.runs[name]["status"] = status


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    found = Stand()
    entities = ModuleType("mlflow.entities")
    entities.Metric = lambda *a: a  # type: ignore[attr-defined]
    entities.Param = lambda *a: a  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", found)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    return found


def test_curves_and_config(stand: Stand, tmp_path: Path) -> None:
    tracker = MLflow()
    with tracker.following(tmp_path, CONFIG):
        tracker.log(FIRST)
        tracker.log(SECOND)
        tracker.finish({"ndcg@10": 0.25, "segment_gap": None})
    assert stand.uris == [f"sqlite:///{tmp_path}/mlflow/mlflow.db"]
    [run] = stand.runs.values()
    assert run["metrics"] == {
        "stage1/epoch": [(1, 1.0)],
        "stage1/loss": [(1, 0.5)],
        "stage1/valid_ndcg_at_10": [(1, 0.25)],
        "stage2/epoch": [(2, 1.0)],
        "stage2/loss": [(2, 0.125)],
        "test/ndcg_at_10": [(2, 0.25)],
    }
    assert run["params"] == {"name": "small", "encoder.dim": "8", "long": "x" * 500}
    assert (run["name"], run["status"]) == ("small", "FINISHED")


def test_a_resumed_run_takes_the_place_of_the_old(stand: Stand, tmp_path: Path) -> None:
    tracker = MLflow()
    with contextlib.suppress(KeyboardInterrupt), tracker.following(tmp_path, CONFIG):
        tracker.log(FIRST)
        tracker.log(FIRST)
        raise KeyboardInterrupt
    assert stand.runs["id-0"]["status"] == "FAILED"
    with tracker.following(tmp_path, CONFIG, [FIRST]):
        tracker.log(SECOND)
        tracker.finish({})
    assert stand.runs["id-0"]["status"] == "DELETED"
    assert stand.runs["id-1"]["metrics"]["stage1/loss"] == [(1, 0.5)]
    assert stand.runs["id-1"]["metrics"]["stage2/loss"] == [(2, 0.125)]
    assert len(stand.experiments) == 1


def test_variables_of_mlflow_hold(stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "ours")
    with MLflow().following(tmp_path, {f"key{n}": n for n in range(250)}):
        pass
    assert stand.uris == ["http://tracking:5000"]
    assert list(stand.experiments) == ["ours"]
    assert len(stand.runs["id-0"]["params"]) == 250


def test_a_store_that_refuses(stand: Stand, tmp_path: Path) -> None:
    stand.full = True
    with pytest.raises(GnnsegError) as caught, MLflow().following(tmp_path, CONFIG):
        pass
    assert str(caught.value) == "mlflow cannot write: disk full"


def test_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r'pip install "gnnseg\[mlflow\]"'):
        MLflow()


@pytest.mark.filterwarnings("ignore")
def test_mlflow_itself_reads_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow comes with gnnseg[mlflow]")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = fit(on_data(PLAIN, name="plain"), out=tmp_path / "run", tracker=MLflow())
    uri = f"sqlite:///{tmp_path}/run/mlflow/mlflow.db"
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("gnnseg").experiment_id
    [run] = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert run.data.params["encoder.dim"] == "8"
    assert run.data.metrics["test/ndcg_at_10"] == found.test.means["ndcg@10"]
    losses = client.get_metric_history(run.info.run_id, "stage1/loss")
    assert [m.value for m in losses] == [record["loss"] for record in found.history]
    assert [m.step for m in losses] == [1, 2, 3, 4, 5, 6]
