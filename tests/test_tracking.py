import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gnnseg.tracking import JsonLines, Task, Tracker, Trackers


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
