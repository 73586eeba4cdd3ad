"""What a run tells while it runs: records to keep and progress to show, behind one class."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from numbers import Real
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from gnnseg.errors import ConfigError, GnnsegError
from gnnseg.files import to_json, write_text

Array = npt.NDArray[np.float32]

History = Sequence[Mapping[str, Any]]


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

    def start(self, folder: Path | None, config: Mapping[str, Any], history: History = ()) -> None:
        """Get ready for a run.

        Args:
            folder: Where the run is being written, or None if it is not.
            config: Resolved.
            history: Records of the run before it was interrupted; they take the place of what was kept then.
        """

    def data(self, about: Mapping[str, Any]) -> None:
        """Hear of the dataset before training: its name and sizes."""

    def log(self, record: Mapping[str, Any]) -> None:
        """Keep a record, such as an epoch report."""

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Keep the metrics on test, by name."""

    def vectors(self, users: Array, segments: Sequence[str]) -> None:
        """Hear of users' vectors ``[n, d]`` and the name of each one's segment, when all is trained."""

    def close(self) -> None:
        """Let go of files and connections, whether the run was finished or not."""

    @contextmanager
    def following(
        self, folder: Path | None, config: Mapping[str, Any], history: History = ()
    ) -> Iterator[None]:
        """Start before the block and close after it, even if it fails."""
        try:
            self.start(folder, config, history)
            yield
        finally:
            self.close()

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

    def start(self, folder: Path | None, config: Mapping[str, Any], history: History = ()) -> None:
        """Begin the file anew with the records so far."""
        write_text(self.path, "")
        for record in history:
            self.log(record)

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

    def start(self, folder: Path | None, config: Mapping[str, Any], history: History = ()) -> None:
        """Start each."""
        for tracker in self.trackers:
            tracker.start(folder, config, history)

    def data(self, about: Mapping[str, Any]) -> None:
        """Tell each of the dataset."""
        for tracker in self.trackers:
            tracker.data(about)

    def log(self, record: Mapping[str, Any]) -> None:
        """Pass the record to each."""
        for tracker in self.trackers:
            tracker.log(record)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Pass the metrics to each."""
        for tracker in self.trackers:
            tracker.finish(metrics)

    def vectors(self, users: Array, segments: Sequence[str]) -> None:
        """Tell each of the vectors."""
        for tracker in self.trackers:
            tracker.vectors(users, segments)

    def close(self) -> None:
        """Close each, even if closing another fails."""
        with ExitStack() as stack:
            for tracker in self.trackers:
                stack.callback(tracker.close)

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
        self.seconds = dict.fromkeys(("text", "encoder", "segments", "head", "local", "fit", "evaluate"), 0.0)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time a block."""
        started = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - started


def extra(module: str, name: str = "tracking") -> ModuleType:
    """Import a module that comes with an extra.

    Args:
        module: To import.
        name: Of the extra, as in ``gnnseg[tracking]``.

    Raises:
        ConfigError: If it cannot be imported.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"tracking with {module.partition('.')[0]} needs a package that is missing ({error}); "
            f'pip install "gnnseg[{name}]"'
        ) from None


def folder_of(tracker: Tracker, folder: Path | None) -> Path:
    """The folder of the run.

    Raises:
        ConfigError: If the run has none.
    """
    if folder is None:
        raise ConfigError(f"{type(tracker).__name__} writes into the folder of a run (got none); give 'out'")
    return folder


def scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a record, under names such as ``stage1/loss``."""
    prefix = f"stage{record['stage']}/" if "stage" in record else ""
    return {prefix + name: float(v) for name, v in record.items() if name != "stage" and _is_number(v)}


def metric_scalars(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The finite metrics on test, under names such as ``test/ndcg@10``."""
    return {f"test/{name}": float(v) for name, v in metrics.items() if _is_number(v)}


def _is_number(value: object) -> bool:
    return type(value) is not bool and isinstance(value, Real) and math.isfinite(value)
