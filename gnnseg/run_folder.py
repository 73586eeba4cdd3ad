"""The folder of a run: in the making beside its final name, and under that name only when it is whole."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from gnnseg.errors import CheckpointError, ConfigError, DataError

if sys.platform != "win32":  # where a folder cannot be opened either
    import fcntl

RESUME_FILE = "resume.safetensors"
"""What training needs to go on; it leaves when a run is finished."""

SHARDS = "resume-*.safetensors"
"""Rows of it that several processes wrote, each those of its own users."""


def partial_folder(folder: Path) -> Path:
    """Where a run lies until it is finished."""
    return folder.with_name(f".{folder.name}.partial")


@contextmanager
def unfinished(folder: Path, *, resume: bool = False) -> Iterator[Path]:
    """Give a folder to fill beside ``folder``; it takes that name when the block succeeds.

    Nobody else can fill it meanwhile. After a failure it stays only if training can be resumed from it, and
    would not fail in the same way.

    Args:
        folder: The final name.
        resume: Whether to go on with what lies there; else the folder is emptied first.

    Raises:
        CheckpointError: If ``folder`` exists, its parent cannot be written, another process fills it, or an
            interrupted run lies there that is not to be resumed.
    """
    refuse_existing(folder)
    partial = partial_folder(folder)
    with _locked(partial, folder):
        if not resume:
            refuse_interrupted(folder)
            _empty(partial)
        resumed = _resumable(partial)
        try:
            yield partial
            _finish(partial, folder)
        except (ConfigError, DataError):
            if not resumed:
                shutil.rmtree(partial, ignore_errors=True)
            raise
        finally:
            if partial.is_dir() and not _resumable(partial):
                shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _locked(partial: Path, folder: Path) -> Iterator[None]:
    """Make a folder and hold a lock on it that dies with this process.

    Raises:
        CheckpointError: If it cannot be made, or another process holds the lock.
    """
    if partial.is_symlink():  # it would be emptied, wherever it leads
        raise CheckpointError(f"'{partial}' is a link; remove it")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        if sys.platform != "win32":
            handle = os.open(partial, os.O_RDONLY)
    except OSError as error:
        raise CheckpointError(f"cannot write '{partial}': {error.strerror}; choose another --out") from None
    if sys.platform == "win32":
        yield  # two trainings into one folder are not told apart there
        return
    try:
        if not _lock(handle) or not _is_still(partial, handle):
            raise CheckpointError(f"another process writes '{folder}'; wait for it or choose another --out")
        yield
    finally:
        os.close(handle)  # and with it the lock


def _lock(handle: int) -> bool:
    """Whether nobody else holds the lock; on a file system without locks nobody is told apart."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def _is_still(partial: Path, handle: int) -> bool:
    """Whether the folder that was opened has not been finished or removed before it was locked."""
    try:
        return os.path.samestat(partial.stat(), os.fstat(handle))
    except OSError:
        return False


def _empty(partial: Path) -> None:
    """Remove what a killed process left; the folder itself stays, as the lock is on it."""
    try:
        for path in partial.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise CheckpointError(f"cannot empty '{partial}': {error.strerror}; remove it") from None


def _finish(partial: Path, folder: Path) -> None:
    """Give a whole folder its name; what it would be resumed from goes only after that."""
    try:
        partial.rename(folder)
    except OSError as error:
        raise CheckpointError(f"cannot write '{folder}': {error.strerror}") from None
    with suppress(OSError):  # the run is whole with it, too
        for path in (folder / RESUME_FILE, *folder.glob(SHARDS)):
            path.unlink(missing_ok=True)


def _resumable(partial: Path) -> bool:
    return (partial / RESUME_FILE).is_file()


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
        CheckpointError: If ``folder`` exists and is not empty, is a link, or is not a name to give.
    """
    if folder.name in ("", ".."):
        raise CheckpointError(f"'{folder}' cannot be the folder of a run; give it a name")
    if folder.is_symlink():
        raise CheckpointError(f"'{folder}' is a link; remove it or choose another --out")
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
