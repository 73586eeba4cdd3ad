import contextlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnnseg.errors import ConfigError, GnnsegError
from gnnseg.tracking import TRACKERS, JsonLines, MLflow, Task, TensorBoard, Tracker, Trackers, WandB
from gnnseg.tracking.base import metric_scalars, scalars


class Recorder(Tracker):
    """Writes down all that it is told."""

    def __init__(self, told: list[Any], name: str) -> None:
        self.told, self.name = told, name

    def log(self, record: Mapping[str, Any]) -> None:
        self.told.append((self.name, dict(record)))

    @contextlib.contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        self.told.append((self.name, "start", name, total))
        try:
            yield Step(self.told, self.name)
        finally:
            self.told.append((self.name, "stop"))


class Step(Task):
    def __init__(self, told: list[Any], name: str) -> None:
        self.told, self.name = told, name

    def advance(self, count: int = 1, **fields: float) -> None:
        self.told.append((self.name, count, fields))

    def fits(self, total: int) -> None:
        self.told.append((self.name, "fits", total))


def test_the_base_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    tracker = Tracker()
    tracker.log({"loss": 1.0})
    with tracker.task("ranking", 3) as task:
        task.advance()
        task.advance(2, loss=0.5)
        task.fits(4)
    assert capsys.readouterr() == ("", "")


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    tracker = JsonLines(path)
    tracker.log({"epoch": 1, "loss": 0.5})
    tracker.log({"epoch": 2, "loss": float("nan"), "note": "Amélie\nBrazil"})
    with tracker.task("training", 2) as task:
        task.advance()
    JsonLines(path).log({"epoch": 3})
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"epoch": 1, "loss": 0.5},
        {"epoch": 2, "loss": None, "note": "Amélie\nBrazil"},
        {"epoch": 3},
    ]


def test_several_trackers() -> None:
    told: list[Any] = []
    tracker = Trackers([Recorder(told, "a"), Recorder(told, "b")])
    tracker.log({"epoch": 1})
    with tracker.task("training", 5) as task:
        task.advance(2, loss=0.5)
        task.fits(7)
    assert told == [
        ("a", {"epoch": 1}),
        ("b", {"epoch": 1}),
        ("a", "start", "training", 5),
        ("b", "start", "training", 5),
        ("a", 2, {"loss": 0.5}),
        ("b", 2, {"loss": 0.5}),
        ("a", "fits", 7),
        ("b", "fits", 7),
        ("b", "stop"),
        ("a", "stop"),
    ]


def test_tasks_end_on_errors() -> None:
    told: list[Any] = []
    with pytest.raises(RuntimeError), Trackers([Recorder(told, "a"), Recorder(told, "b")]).task("x", 1):
        raise RuntimeError
    assert told[-2:] == [("b", "stop"), ("a", "stop")]


def test_no_trackers() -> None:
    with Trackers([]).task("x", 1) as task:
        task.advance()


class Lifetime(Tracker):
    """Writes down when it is started, finished and closed; may fail at one of them."""

    def __init__(self, told: list[Any], name: str, fails: str = "") -> None:
        self.told, self.name, self.fails = told, name, fails

    def tell(self, what: str, *details: Any) -> None:
        self.told.append((self.name, what, *details))
        if what == self.fails:
            raise GnnsegError(what)

    def start(self, folder: Path | None, config: Mapping[str, Any], history: Any = ()) -> None:
        self.tell("start", folder, config, list(history))

    def finish(self, metrics: Mapping[str, Any]) -> None:
        self.tell("finish", metrics)

    def close(self) -> None:
        self.tell("close")


def test_the_base_follows_silently(capsys: pytest.CaptureFixture[str]) -> None:
    tracker = Tracker()
    with tracker.following(None, {}):
        tracker.finish({"ndcg@10": 0.5})
    assert capsys.readouterr() == ("", "")


def test_several_are_started_finished_and_closed(tmp_path: Path) -> None:
    told: list[Any] = []
    tracker = Trackers([Lifetime(told, "a"), Lifetime(told, "b")])
    with tracker.following(tmp_path, {"seed": 1}, [{"epoch": 1}]):
        tracker.finish({"ndcg@10": 0.5})
    started = ("start", tmp_path, {"seed": 1}, [{"epoch": 1}])
    assert told[:2] == [("a", *started), ("b", *started)]
    assert told[2:4] == [("a", "finish", {"ndcg@10": 0.5}), ("b", "finish", {"ndcg@10": 0.5})]
    assert sorted(told[4:]) == [("a", "close"), ("b", "close")]


@pytest.mark.parametrize("fails", ["start", "finish", "close"])
def test_all_are_closed_when_one_fails(fails: str) -> None:
    told: list[Any] = []
    tracker = Trackers([Lifetime(told, "a"), Lifetime(told, "b", fails), Lifetime(told, "c")])
    with pytest.raises(GnnsegError, match=fails), tracker.following(None, {}):
        tracker.finish({})
    assert sorted(told[-3:]) == [("a", "close"), ("b", "close"), ("c", "close")]


def test_json_lines_begin_anew(tmp_path: Path) -> None:
    tracker = JsonLines(tmp_path / "history.jsonl")
    tracker.log({"epoch": 9})
    with tracker.following(tmp_path, {}, [{"epoch": 1}]):
        tracker.log({"epoch": 2})
    lines = (tmp_path / "history.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1}, {"epoch": 2}]


def test_scalars() -> None:
    record = {"stage": 2, "epoch": 3, "loss": np.float32(0.5), "note": "x", "none": None, "on": True}
    assert scalars({**record, "valid_ndcg@10": float("nan")}) == {"stage2/epoch": 3.0, "stage2/loss": 0.5}
    assert scalars({"loss": 1}) == {"loss": 1.0}
    assert metric_scalars({"ndcg@10": 0.5, "segment_gap": None}) == {"test/ndcg@10": 0.5}


def test_trackers_by_name() -> None:
    assert {"tensorboard": TensorBoard, "wandb": WandB, "mlflow": MLflow} == TRACKERS


def test_each_hears_of_the_dataset() -> None:
    class Ear(Tracker):
        def data(self, about: Mapping[str, Any]) -> None:
            heard.append(about["name"])

    heard: list[str] = []
    Trackers([Ear(), Tracker(), Ear()]).data({"name": "small"})
    assert heard == ["small", "small"]


@pytest.mark.parametrize("name", sorted(TRACKERS))
def test_a_missing_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError) as caught:
        TRACKERS[name]()
    assert str(caught.value).startswith(f"tracking with {name} needs a package that is missing (")
    comes_with = "mlflow" if name == "mlflow" else "tracking"
    assert str(caught.value).endswith(f'); pip install "gnnseg[{comes_with}]"')
