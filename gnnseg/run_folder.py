"""The folder of a run: in the making beside its final name, and under that name only when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from gnnseg.errors import CheckpointError, ConfigError, DataError

RESUME_FILES = ("resume.safetensors", "resume.json")
"""What training needs to go on; they leave when a run is finished."""


def partial_folder(folder: Path) -> Path:
    """Where a run lies until it is finished."""
    return folder.with_name(f".{folder.name}.partial")


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """Give a folder to fill beside ``folder``; it takes that name when the block succeeds.

    After a failure it stays only if training can be resumed from it, and would not fail in the same way.

    Raises:
        CheckpointError: If ``folder`` exists or its parent cannot be written.
    """
    refuse_existing(folder)
    partial = partial_folder(folder)
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"cannot write '{partial}': {error.strerror}; choose another --out") from None
    resumed = _resumable(partial)
    try:
        yield partial
        for name in RESUME_FILES:
            (partial / name).unlink(missing_ok=True)
        try:
            partial.rename(folder)
        except OSError as error:
            raise CheckpointError(f"cannot write '{folder}': {error.strerror}") from None
    except (ConfigError, DataError):
        if not resumed:
            shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        if partial.is_dir() and not _resumable(partial):
            shutil.rmtree(partial, ignore_errors=True)


def _resumable(partial: Path) -> bool:
    return all((partial / name).is_file() for name in RESUME_FILES)


def free_folder(folder: Path) -> Path:
    """``folder``, or the first of ``folder-2``, ``folder-3``, ... that no run has taken, finished or not."""
    candidates = (folder if n == 1 else folder.with_name(f"{folder.name}-{n}") for n in count(1))
    return next(c for c in candidates if not c.exists() and not partial_folder(c).exists())


def refuse_interrupted(folder: Path) -> None:
    """Refuse to make a run where an interrupted one waits to go on.

    Raises:
        CheckpointError: If an interrupted run that can be resumed lies beside ``folder``.
    """
    partial = partial_folder(folder)
    if _resumable(partial):
        raise CheckpointError(
            f"an interrupted run can go on: gnnseg train --resume {folder}; or remove '{partial}'"
        )


def refuse_existing(folder: Path) -> None:
    """Refuse a folder that something is in.

    Raises:
        CheckpointError: If ``folder`` exists and is not empty, or is not a name to give.
    """
    if folder.name in ("", ".."):
        raise CheckpointError(f"'{folder}' cannot be the folder of a run; give it a name")
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise CheckpointError(f"cannot use '{folder}': {error.strerror}") from None
    if taken:
        raise CheckpointError(f"'{folder}' exists already; choose another --out or remove it")


def finished_folder(partial: Path) -> Path:
    """The final name of an interrupted run, given either name.

    Raises:
        CheckpointError: If there is nothing to resume.
    """
    name = partial.name
    if name.startswith(".") and name.endswith(".partial"):
        out = partial.with_name(name[1 : -len(".partial")])
    else:
        out = partial
    if not partial_folder(out).is_dir():
        raise CheckpointError(
            f"there is no interrupted run '{out}' to resume (looked for '{partial_folder(out)}')"
        )
    return out
