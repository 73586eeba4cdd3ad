"""The file layout of the NGCF and LightGCN papers."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IdMap
from gnnseg.data.interactions import Interactions
from gnnseg.data.sources.base import Source
from gnnseg.data.sources.limits import refuse_unbounded
from gnnseg.errors import DataError


class AdjacencyLists(Source):
    """Two files of lines ``user item item ...``, the split given (arXiv 2002.02126, section 4.1).

    Args:
        folder: What the paths are relative to.
        train: File to train on; ``.gz`` is unpacked on the way.
        test: File to test on.
    """

    def __init__(self, folder: Path, *, train: str, test: str) -> None:
        super().__init__(folder)
        self.train = folder / train
        self.test = folder / test

    def load(self, name: str) -> Dataset:
        """Read both files; rows are numbered in the order of the ids as integers.

        Args:
            name: What the dataset is to be called.

        Raises:
            DataError: If a file is missing, malformed or empty.
        """
        train, test = _read(self.train), _read(self.test)
        pairs = np.concatenate([train, test])
        for path, part in ((self.train, train), (self.test, test)):
            if not len(part):
                raise DataError(f"'{path}' holds no interactions")
        users, user_rows = np.unique(pairs[:, 0], return_inverse=True)
        items, item_rows = np.unique(pairs[:, 1], return_inverse=True)
        return Dataset(
            name=name,
            interactions=Interactions(user_rows.astype(np.int64), item_rows.astype(np.int64)),
            users=IdMap(users, "user"),
            items=IdMap(items, "item"),
            given_test=np.arange(len(pairs)) >= len(train),
        )


def _read(path: Path) -> npt.NDArray[np.int64]:
    """All pairs of one file, ``[n, 2]``.

    Raises:
        DataError: If it cannot be read, or a line holds anything but integers or is too long.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    rows: list[npt.NDArray[np.int64]] = []
    try:
        refuse_unbounded(path)
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                user, *items = _integers(line, path, number) or [0]
                if items:
                    rows.append(np.array([(user, item) for item in items], dtype=np.int64))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataError(f"cannot read '{path}': {getattr(error, 'strerror', None) or error}") from None
    return np.concatenate(rows) if rows else np.empty((0, 2), dtype=np.int64)


def _integers(line: str, path: Path, number: int) -> list[int]:
    try:
        values = [int(word) for word in line.split()]
    except ValueError:
        values = [1 << 63]
    if values and max(map(abs, values)) >= 1 << 63:
        raise DataError(f"'{path}' line {number}: expected integers 'user item item ...' (got {line[:60]!r})")
    return values
