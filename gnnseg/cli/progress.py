"""Progress for people: live bars in a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as RichTask
from rich.table import Table
from rich.text import Text

from gnnseg.disclosure import MIN_USERS
from gnnseg.tracking import Task, Tracker

SECONDS_BETWEEN_LINES = 10.0
ROOMY = 100
"""Columns of a terminal from which on a bar may be long without cutting figures off."""

SIZES = {
    "users": "users",
    "items": "items",
    "train": "training interactions",
    "valid": "validation",
    "test": "test",
}
"""Of a dataset, as they are called."""

out = Console(soft_wrap=False)
err = Console(stderr=True)


def tracker(quiet: bool) -> Tracker:
    """What suits the terminal."""
    if quiet:
        return Tracker()
    return Live() if err.is_terminal else Plain()


def figures(fields: dict[str, float]) -> str:
    """``loss 0.1234  valid 0.1500  12,345/s``; what is not known yet (NaN) is left out."""
    known = {name: value for name, value in fields.items() if math.isfinite(value)}
    parts = [f"{name} {value:.4f}" for name, value in known.items() if name != "rate"]
    if "rate" in known:
        parts.append(f"{known['rate']:,.0f}/s")
    return "  ".join(parts)


class Rate(ProgressColumn):
    """Parts a second, for a step that tells no rate of its own."""

    def render(self, task: RichTask) -> Text:
        """``12.3/s``, or nothing before the first part."""
        known = task.speed is not None and not task.fields["figures"].endswith("/s")
        return Text(f"{task.speed:,.1f}/s" if known else "", style="progress.data.speed")


class Telling(Tracker):
    """Says once what a dataset holds, before anything is trained on it."""

    def __init__(self) -> None:
        self._told = ""

    def data(self, about: Mapping[str, Any]) -> None:
        """A line, unless it is the one before."""
        parts = [f"{about[key]:,} {name}" for key, name in SIZES.items()]
        line = f"{about['name']}: {', '.join(parts)}"
        if line != self._told:
            self._told = line
            err.print(line, highlight=False, markup=False, soft_wrap=True)


class Live(Telling):
    """Bars with figures, rate and time left; a bar disappears when its step is done."""

    def __init__(self) -> None:
        super().__init__()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28 if err.width >= ROOMY else 8),
            MofNCompleteColumn(),
            Rate(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}"),
            console=err,
            transient=True,
        )
        self._open = 0

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """A bar."""
        if self._open == 0:
            self._progress.start()
        self._open += 1
        bar = self._progress.add_task(name, total=total, figures="")
        try:
            yield _Bar(self._progress, bar)
        finally:
            self._progress.remove_task(bar)
            self._open -= 1
            if self._open == 0:
                self._progress.stop()


class _Bar(Task):
    def __init__(self, progress: Progress, bar: object) -> None:
        self._progress, self._bar = progress, bar

    def advance(self, count: int = 1, **fields: float) -> None:
        self._progress.update(self._bar, advance=count, figures=figures(fields))  # type: ignore[arg-type]

    def fits(self, total: int) -> None:
        self._progress.update(self._bar, total=total)  # type: ignore[arg-type]


class Plain(Telling):
    """A line every ten seconds or so, for logs."""

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """Lines for a step."""
        yield _Lines(name, total)


class _Lines(Task):
    def __init__(self, name: str, total: int) -> None:
        self._name, self._total, self._done = name, total, 0
        self._since = self._told = time.monotonic()
        self._before: int | None = None

    def advance(self, count: int = 1, **fields: float) -> None:
        self._done += count
        now = time.monotonic()
        if self._before is None:  # a resumed step has done most of it without taking time
            self._before, self._since = self._done, now
        if now - self._told < SECONDS_BETWEEN_LINES or not self._done:
            return
        self._told = now
        remaining = max(0, self._total - self._done)
        counted = self._done - self._before
        left = f", {(now - self._since) / counted * remaining:.0f} s left" if counted else ""
        err.print(
            f"{self._name}: {self._done}/{self._total}{left}  {figures(fields)}".rstrip(), highlight=False
        )

    def fits(self, total: int) -> None:
        self._total = total


def counted(number: int, noun: str) -> str:
    """``1 user``, ``1,204 users``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def cut(text: str, width: int) -> str:
    """A text of at most ``width`` characters."""
    return text if len(text) <= width else f"{text[: width - 1].rstrip()}…"


def hidden(count: int | None) -> str:
    """A number of users; of groups too small to be told of, only that."""
    return f"<{MIN_USERS}" if count is None else str(count)


def table(
    title: str,
    header: list[str],
    rows: list[list[str]],
    highlight: int | None = None,
    words: tuple[int, ...] = (),
    lines: bool = False,
) -> Table:
    """A table of plain text (markup is not read).

    Args:
        title: Above it.
        header: Names of the columns.
        rows: Cells.
        highlight: A row to make stand out.
        words: Columns of words besides the first; the others hold numbers and end at the right.
        lines: Between rows, for cells of several lines.
    """
    result = Table(title=Text(title), title_justify="left", header_style="bold", show_lines=lines)
    for position, name in enumerate(header):
        left = position == 0 or position in words
        result.add_column(name, justify="left" if left else "right", overflow="fold")
    for position, cells in enumerate(rows):
        result.add_row(*map(Text, cells), style="bold green" if position == highlight else None)
    return result
