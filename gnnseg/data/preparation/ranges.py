"""Rows divided among ranges of users, each small enough to be sorted in memory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gnnseg.data.filters import Filters
from gnnseg.data.ids import IntArray
from gnnseg.data.preparation.columns import Column

ROWS = 2**21
"""Rows of a range, more only where one user has more."""


class Ranges:
    """Rows in files, one for each range of users.

    Args:
        folder: Where the files are made.
        record: What a row is: ``user``, ``item``, ``place`` and, if they are known, ``rating`` and ``time``.
        counts: Rows of each user at most, ``[U]``.
    """

    def __init__(self, folder: Path, record: npt.DTypeLike, counts: IntArray) -> None:
        before = np.cumsum(counts) - counts
        numbers, which = np.unique(before // ROWS, return_inverse=True)
        self._which = which.astype(np.int32).reshape(-1)
        self.record = np.dtype(record)
        self.files = [Column(folder / f"range-{n:06}", record) for n in range(len(numbers))]
        self._end = 0  # of the places

    def add(self, rows: np.ndarray) -> None:
        """Take records ``[m]``; those of a user keep their order."""
        self._end = max(self._end, int(rows["place"].max(initial=-1)) + 1)
        which = self._which[rows["user"]]
        order = np.argsort(which, kind="stable")
        which, rows = which[order], rows[order]
        starts = np.flatnonzero(np.diff(which, prepend=-1))
        for start, part in zip(starts, np.split(rows, starts[1:]), strict=False):
            self.files[which[start]].append(part)

    def deduplicate(self, filters: Filters) -> None:
        """Sort each range by user and item, and keep one row of each pair.

        Raises:
            DataError: If a pair is repeated and must not be.
        """
        repeated = 0
        for file in self.files:
            rows = _by_pair(file.read())
            chosen = filters.one_each(rows["user"], rows["item"])
            repeated += int((~chosen).sum())
            file.replace(rows[chosen])
        filters.check_repeated(repeated)

    def core(self, num_users: int, num_items: int, min_user: int, min_item: int) -> tuple[IntArray, IntArray]:
        """Drop users and items with too few rows until nothing changes, in whatever order they go.

        Args:
            num_users: ``U``.
            num_items: ``I``.
            min_user: The least of a user.
            min_item: The least of an item.

        Returns:
            Rows of each user ``[U]`` and of each item ``[I]`` that are left.
        """
        users, items = _counted((file.read() for file in self.files), num_users, num_items)
        while _any_below(users, min_user) or _any_below(items, min_item):
            left = (self._without(file, users >= min_user, items >= min_item) for file in self.files)
            users, items = _counted(left, num_users, num_items)
        return users, items

    def ranks(self) -> Ranks:
        """The rank of each place among those of all rows."""
        there = np.zeros(self._end, dtype=bool)
        for file in self.files:
            there[file.read()["place"]] = True
        return Ranks(np.packbits(there, bitorder="little"))

    def _without(self, file: Column, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The rows of a range whose user and item are among those of two masks; the others are dropped."""
        rows = file.read()
        good = users[rows["user"]] & items[rows["item"]]
        if not good.all():
            rows = rows[good]
            file.replace(rows)
        return rows


def _by_pair(rows: np.ndarray) -> np.ndarray:
    """Records ``[m]`` sorted by user, item, time if it is known, and where they stood."""
    keys = rows["user"].astype(np.int64) * (int(rows["item"].max(initial=0)) + 1) + rows["item"]
    order = np.argsort(keys, kind="stable")
    rows, keys = rows[order], keys[order]
    if "time" in (rows.dtype.names or ()):  # which only repeated pairs are sorted by, and these are few
        same = keys[1:] == keys[:-1]
        repeated = np.append(same, False) | np.append(False, same)
        some = rows[repeated]
        rows[repeated] = some[np.lexsort((some["time"], keys[repeated]))]
    return rows


def _counted(ranges: Iterable[np.ndarray], num_users: int, num_items: int) -> tuple[IntArray, IntArray]:
    users, items = np.zeros(num_users, dtype=np.int64), np.zeros(num_items, dtype=np.int64)
    for rows in ranges:
        if len(rows):
            first = int(rows["user"].min())
            some = np.bincount(rows["user"] - first)
            users[first : first + len(some)] += some
            items += np.bincount(rows["item"], minlength=num_items)
    return users, items


def _any_below(counts: IntArray, least: int) -> bool:
    return bool(np.any((counts > 0) & (counts < least)))


class Ranks:
    """Ranks of places among those that are there, in 9 bytes for 8 places.

    Args:
        bits: A bit a place, the lowest first, ``[length / 8]``.
    """

    _ONES = np.array([number.bit_count() for number in range(256)], dtype=np.uint8)

    def __init__(self, bits: npt.NDArray[np.uint8]) -> None:
        self._bits = bits
        ones = self._ONES[bits]
        self._before = np.cumsum(ones, dtype=np.int64) - ones

    def of(self, places: IntArray) -> IntArray:
        """Ranks of places that are there, ``[m]``."""
        byte, lower = places >> 3, (1 << (places & 7)) - 1
        found: IntArray = self._before[byte] + self._ONES[self._bits[byte] & lower]
        return found
