"""Interactions gathered from the pieces of a table into files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from gnnseg.data.ids import FloatArray, IntArray
from gnnseg.data.preparation.columns import Column
from gnnseg.data.sources.gathering import Columns, Gathering, Good
from gnnseg.data.sources.problems import KEPT, Problems
from gnnseg.data.sources.reading import LATEST, unit_of


class Spilled(Gathering):
    """Rows that have passed all checks, in files; memory holds the ids.

    Args:
        columns: What is read.
        problems: Told of the rows that have not.
        folder: Where the files are made.
    """

    def __init__(self, columns: Columns, problems: Problems, folder: Path) -> None:
        super().__init__(columns, problems)
        self._codes = Column(folder / "users", np.int32), Column(folder / "items", np.int32)
        self._rated = None if columns.rating is None else Column(folder / "ratings", np.float64)
        timed = columns.time is not None
        self._timed = Column(folder / "times", np.float64) if timed else None
        self._settled = Column(folder / "are_seconds", np.bool_) if timed else None
        self._unit = 1.0
        self._late: IntArray = np.empty(0, dtype=np.int64)

    @property
    def total(self) -> int:
        """Good rows."""
        return sum(self._sizes) - len(self._late)

    @property
    def record(self) -> np.dtype[np.void]:
        """What is known of a row: rows of its user and item, its place in the table, its rating and time."""
        fields = [("user", np.int32), ("item", np.int32), ("place", np.int64)]
        rated = [] if self._rated is None else [("rating", np.float64)]
        return np.dtype([*fields, *rated, *([] if self._timed is None else [("time", np.int64)])])

    def ordered(self) -> tuple[tuple[list[str], IntArray], tuple[list[str], IntArray]]:
        """The ids of users and of items in row order, each with the row of each code, ``[c]``."""
        used = [np.zeros(0, dtype=bool), np.zeros(0, dtype=bool)]
        for _, block in self._blocks(*self._codes):
            for kind, codes in enumerate(block):
                used[kind] = _marked(used[kind], codes)
        return self.users.ordered(used[0]), self.items.ordered(used[1])

    def user_counts(self, user_rows: IntArray, num_users: int) -> IntArray:
        """Rows of each user, ``[U]``.

        Args:
            user_rows: The row of each user code, ``[c]``.
            num_users: ``U``.
        """
        counts = np.zeros(num_users, dtype=np.int64)
        for _, (users,) in self._blocks(self._codes[0]):
            counts += np.bincount(user_rows[users], minlength=num_users)
        return counts

    def remove(self) -> None:
        """Remove the files."""
        for column in (*self._codes, self._rated, self._timed, self._settled):
            if column is not None:
                column.path.unlink()

    def rows(self, user_rows: IntArray, item_rows: IntArray) -> Iterator[np.ndarray]:
        """All rows in the table's order, a block of records ``[m]`` at a time.

        Args:
            user_rows: The row of each user code, ``[c]``.
            item_rows: The row of each item code, ``[c]``.
        """
        for places, block in self._blocks(*self._codes, self._rated, self._timed, self._settled):
            users, items, ratings, times, settled = block
            records = np.empty(len(places), dtype=self.record)
            records["user"], records["item"] = user_rows[users], item_rows[items]
            records["place"] = places
            if ratings is not None:
                records["rating"] = ratings
            if times is not None:
                records["time"] = np.floor(self._seconds_of(times, settled))
            yield records

    def _keep(self, good: Good) -> None:
        self._codes[0].append(good.users)
        self._codes[1].append(good.items)
        if self._rated is not None and good.ratings is not None:
            self._rated.append(good.ratings)
        if self._timed is not None and self._settled is not None and good.times is not None:
            self._timed.append(good.times)
            self._settled.append(np.broadcast_to(good.is_seconds, len(good.times)))

    def _settle_times(self) -> int:
        if self._timed is None:
            return 0
        self._unit = unit_of(self._numbers)
        late: list[np.ndarray] = [self._late]
        got: list[float] = []
        for places, (times, settled) in self._blocks(self._timed, self._settled):
            seconds = self._seconds_of(times, settled)
            found = np.flatnonzero(np.abs(seconds) > LATEST)
            late.append(places[found])
            got += seconds[found[: KEPT - len(got)]].tolist()
        self._late = np.concatenate(late)
        if len(self._late):
            self._refuse_late(self._late, np.array(got))
        return len(self._late)

    def _numbers(self) -> Iterator[FloatArray]:
        """The times whose unit has to be told, a block at a time."""
        for _, (times, settled) in self._blocks(self._timed, self._settled):
            yield times[~settled]

    def _seconds_of(self, times: FloatArray, settled: np.ndarray) -> FloatArray:
        """Times in seconds, in place, ``[m]``; ``settled`` are so already."""
        np.divide(times, self._unit, out=times, where=~settled)
        return times

    def _blocks(self, *columns: Column | None) -> Iterator[tuple[IntArray, list[Any]]]:
        """Blocks of columns side by side with their rows' places, without rows whose time is none."""
        start = 0
        for block in zip(*(repeat(None) if c is None else c.blocks() for c in columns), strict=False):
            places = np.arange(start, start + len(block[0]))
            first, last = np.searchsorted(self._late, [start, start + len(places)])
            late = self._late[first:last] - start
            start += len(places)
            if len(late):
                block = tuple(None if values is None else np.delete(values, late) for values in block)
                places = np.delete(places, late)
            yield places, list(block)


def _marked(used: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """``used``, ``[c]`` or longer, with some codes ``[m]`` marked."""
    if len(codes) and (size := int(codes.max()) + 1) > len(used):
        used = np.append(used, np.zeros(max(size, 2 * len(used)) - len(used), dtype=bool))
    used[codes] = True
    return used
