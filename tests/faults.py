"""A disk that fails, or a process that dies, at the n-th call that changes the disk."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHANGES = ("open", "fsync", "replace", "rename", "mkdir", "chmod", "unlink", "rmdir")
"""Functions of ``os`` that change the disk; opening a file to write and each write count besides."""


class Faults:
    """Counts such calls below a folder; just before the ``at``-th one, ``act`` is called.

    Args:
        folder: What lies elsewhere is left alone.
        at: From 1; 0 only counts.
        act: Raises, or does not return.
    """

    def __init__(self, folder: Path, at: int, act: Callable[[], None]) -> None:
        self.folder, self.at, self.act = str(folder), at, act
        self.calls: list[str] = []

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """From now on calls count."""
        for name in CHANGES:
            patch.setattr(os, name, self._counted(name, getattr(os, name)))
        true_open = io.open

        def counted_open(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if not set(mode) & set("wax+") or not self._is_mine(file):
                return true_open(file, mode, *args, **kwargs)
            self._count("open")
            return _Counted(true_open(file, mode, *args, **kwargs), self)

        patch.setattr("io.open", counted_open)
        patch.setattr("builtins.open", counted_open)

    def _counted(self, name: str, true: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._is_mine(args[0]):
                self._count(name)
            return true(*args, **kwargs)

        return call

    def _is_mine(self, file: Any) -> bool:
        if isinstance(file, int):
            file = Path(f"/proc/self/fd/{file}").readlink()
        return os.fsdecode(file).startswith(self.folder)

    def _count(self, name: str) -> None:
        self.calls.append(name)
        if len(self.calls) == self.at:
            self.act()


class _Counted:
    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def write(self, data: Any) -> int:
        self._faults._count("write")
        half = len(data) // 2  # a write that is cut in the middle leaves the first half
        return int(self._file.write(data[:half])) + self._rest(data[half:])

    def _rest(self, data: Any) -> int:
        self._file.flush()
        self._faults._count("write")
        return int(self._file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Counted:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
