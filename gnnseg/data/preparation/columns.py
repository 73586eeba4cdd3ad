"""Numbers in files, appended to and read a block at a time, so that memory holds one block."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 2**20
"""Rows in memory at once."""


class Column:
    """An array in a file; it is read, not mapped, so that what was read is not resident.

    Args:
        path: The file, made or emptied.
        dtype: Of its numbers or records.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.path, self.dtype = path, np.dtype(dtype)
        path.write_bytes(self._header())

    def _header(self) -> bytes:
        return b""

    def append(self, values: np.ndarray) -> None:
        """Add values at the end, ``[m]``."""
        with self.path.open("ab") as file:
            file.write(np.asarray(values, dtype=self.dtype).tobytes())

    def replace(self, values: np.ndarray) -> None:
        """Put values in the place of all, ``[m]``."""
        with self.path.open("wb") as file:
            file.write(self._header())
        self.append(values)

    def blocks(self) -> Iterator[np.ndarray]:
        """All values in order, ``BLOCK`` at a time."""
        with self.path.open("rb") as file:
            while len(values := np.fromfile(file, self.dtype, BLOCK)):
                yield values

    def read(self) -> np.ndarray:
        """All values, ``[m]``."""
        return np.fromfile(self.path, self.dtype)


class ArrayFile(Column):
    """A column that numpy can map: a ``.npy`` file.

    Args:
        path: The file, made or emptied.
        dtype: Of its numbers.
        length: How many will be appended.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike, length: int) -> None:
        self.length = length
        super().__init__(path, dtype)

    def _header(self) -> bytes:
        about: dict[str, Any] = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.length,)}
        header = BytesIO()
        np.lib.format.write_array_header_1_0(header, about)
        return header.getvalue()
