"""What a run tells while it runs: records to keep and progress to show, behind one class."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from gnnseg.errors import GnnsegError
from gnnseg.files import to_json


class Task:
    """A step with a known length; the base shows nothing."""

    def advance(self, count: int = 1, **fields: float) -> None:
        """Say that ``count`` more are done; ``fields`` are figures to show beside."""

    def fits(self, total: int) -> None:
        """Correct the length."""


def follow(task: Task) -> Callable[[int, int | None], None]:
    """A callback told how much is done so far and in all, as a download tells it, that moves ``task``."""
    before = 0

    def progress(done: int, total: int | None) -> None:
        nonlocal before
        task.fits(total or done)
        task.advance(done - before)
        before = done

    return progress


class Tracker:
    """Receives records and progress; the base is silent, subclasses override what they want."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Keep a record, such as an epoch report."""

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """A step of ``total`` parts, done when the block ends."""
        yield Task()


class JsonLines(Tracker):
    """Appends each record as a line of JSON.

    Args:
        path: The file; made if absent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def log(self, record: Mapping[str, Any]) -> None:
        """Append one line.

        Raises:
            GnnsegError: If it cannot be written, such as on a full disk.
        """
        try:
            with self.path.open("a", encoding="utf-8") as lines:
                lines.write(to_json(dict(record), indent=None) + "\n")
        except OSError as error:
            raise GnnsegError(f"cannot write '{self.path}': {error.strerror or error}") from error


class Trackers(Tracker):
    """Several trackers as one.

    Args:
        trackers: Told in this order.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = list(trackers)

    def log(self, record: Mapping[str, Any]) -> None:
        """Pass the record to each."""
        for tracker in self.trackers:
            tracker.log(record)

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        """A step that every tracker follows."""
        with ExitStack() as stack:
            yield _Tasks([stack.enter_context(t.task(name, total)) for t in self.trackers])


class _Tasks(Task):
    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tasks

    def advance(self, count: int = 1, **fields: float) -> None:
        for task in self.tasks:
            task.advance(count, **fields)

    def fits(self, total: int) -> None:
        for task in self.tasks:
            task.fits(total)


class Clock:
    """Adds up wall time by step, in seconds, for the steps a run is reported by."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("text", "encoder", "segments", "head", "fit", "evaluate"), 0.0)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time a block."""
        started = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - started
