from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from gnnseg.cli import progress
from gnnseg.cli.progress import Live, Plain, figures, table, tracker
from gnnseg.tracking import Tracker


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What would stand on a terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(progress, "err", Console(file=stream, force_terminal=True, width=120))
    return stream


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What would stand in a log file."""
    stream = io.StringIO()
    monkeypatch.setattr(progress, "err", Console(file=stream, force_terminal=False, width=120))
    return stream


def test_figures() -> None:
    assert figures({"loss": 0.12345, "valid": 0.15, "rate": 12345.6}) == "loss 0.1235  valid 0.1500  12,346/s"
    assert figures({}) == ""
    assert figures({"loss": 0.5, "valid": float("nan"), "rate": 3.0}) == "loss 0.5000  3/s"


@pytest.mark.parametrize("kind", [Live, Plain])
def test_a_dataset_is_told_once(kind: type[Plain], log: io.StringIO) -> None:
    sizes = {"users": 1234, "items": 2, "train": 56789, "valid": 0, "test": 7}
    found = kind()
    for name in ("[red]one", "[red]one", "two"):
        found.data({"name": name, "digest": "sha256:0", **sizes})
    assert log.getvalue().splitlines() == [
        f"{name}: 1,234 users, 2 items, 56,789 training interactions, 0 validation, 7 test"
        for name in ("[red]one", "two")
    ]


def test_quiet_shows_nothing(screen: io.StringIO) -> None:
    assert type(tracker(True)) is Tracker


def test_bars_in_a_terminal(screen: io.StringIO) -> None:
    found = tracker(False)
    assert isinstance(found, Live)
    with found.task("outer", 2) as outer:
        with found.task("training", 4) as task:
            task.advance(3, loss=0.5, rate=1000.0)
            task.fits(8)
            found._progress.refresh()
        outer.advance()
    text = screen.getvalue()
    assert "training" in text
    assert "outer" in text
    assert "3/8" in text
    assert "loss 0.5000  1,000/s" in text
    assert found._progress.tasks == []
    assert not found._progress.live.is_started


def test_bars_end_when_a_step_fails(screen: io.StringIO) -> None:
    found = Live()
    with pytest.raises(KeyboardInterrupt), found.task("training", 4):
        raise KeyboardInterrupt
    assert not found._progress.live.is_started


def test_lines_elsewhere(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 4.0, 12.0, 14.0, 40.0, 41.0])
    monkeypatch.setattr("gnnseg.cli.progress.time.monotonic", lambda: next(clock))
    found = tracker(False)
    assert isinstance(found, Plain)
    with found.task("training", 10) as task:
        for _ in range(3):
            task.advance(loss=0.25)
        task.fits(4)
        task.advance(loss=0.125, rate=50.0)
    assert log.getvalue().splitlines() == [
        "training: 2/10, 64 s left  loss 0.2500",
        "training: 4/4, 0 s left  loss 0.1250  50/s",
    ]


def test_time_left_of_a_resumed_step(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 6.0, 12.0, 40.0])
    monkeypatch.setattr("gnnseg.cli.progress.time.monotonic", lambda: next(clock))
    with Plain().task("training", 100) as task:
        task.advance(90)
        for _ in range(2):
            task.advance(loss=0.5, valid=0.25, rate=50.0)
    assert log.getvalue().splitlines() == ["training: 92/100, 48 s left  loss 0.5000  valid 0.2500  50/s"]


def test_time_left_is_not_known_from_one_part(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 11.0])
    monkeypatch.setattr("gnnseg.cli.progress.time.monotonic", lambda: next(clock))
    with Plain().task("text", 10) as task:
        task.advance()
    assert log.getvalue() == "text: 1/10\n"


@pytest.mark.parametrize("width", [80, 120])
def test_all_figures_fit_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(
        progress, "err", Console(file=stream, force_terminal=True, width=width, no_color=True)
    )
    found = Live()
    with found.task("fine-tuning", 400) as task:
        for _ in range(3):
            task.advance(loss=3.38, valid=0.121, rate=157872.0)
        found._progress.refresh()
    assert re.search(r"3/400 +0:00:0\d|3/400 +00:0\d", stream.getvalue())
    assert "loss 3.3800  valid 0.1210  157,872/s" in stream.getvalue()
    assert "…" not in stream.getvalue()


def shown(**options: Any) -> str:
    console = Console(file=io.StringIO(), width=60, force_terminal=False)
    console.print(table("[b]title[/b]", ["name", "n"], [["[red]a[/red]", "1"], ["b", "10"]], **options))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_tables_do_not_read_markup() -> None:
    text = shown(highlight=1)
    assert "[b]title[/b]" in text
    assert "[red]a[/red]" in text


def test_numbers_end_at_the_right() -> None:
    lines = [line for line in shown().splitlines() if "1" in line]
    assert lines[0].index("1") == lines[1].index("10") + 1
    lines = [line for line in shown(words=(1,)).splitlines() if "1" in line]
    assert lines[0].index("1") == lines[1].index("10")
