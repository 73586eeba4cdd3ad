"""Interactions gathered from the pieces of a table, in memory that their numbers need and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import polars as pl

from gnnseg.data.ids import IntArray
from gnnseg.data.interactions import Interactions
from gnnseg.data.sources.lines import place
from gnnseg.data.sources.parts import Part
from gnnseg.data.sources.problems import KEPT, Problems
from gnnseg.data.sources.reading import (
    LATEST,
    Numbering,
    Times,
    as_numbers,
    as_text,
    as_times,
    blocks,
    joined,
    seconds_of,
)

ID = "must hold an id"
NUMBER = "must be a finite number"
TIME = "must be epoch seconds, epoch milliseconds or an ISO 8601 time"


class Columns(NamedTuple):
    """Names of the columns of a table of interactions."""

    user: str
    item: str
    rating: str | None
    time: str | None

    @property
    def present(self) -> list[str]:
        """Those that there are."""
        return [name for name in self if name is not None]


class _Kept(NamedTuple):
    """Where the rows that were kept of a piece stand."""

    part: Part
    start: int
    bad: IntArray  # within the piece, ascending; they are few, unlike those that were kept

    def number(self, at: int) -> int:
        return self.part.row_number(self.start + place(at, self.bad))


class Good(NamedTuple):
    """The good rows of a piece: codes of ids, ratings and times as they were read, ``[m]`` each."""

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None
    times: np.ndarray | None
    is_seconds: np.ndarray | bool


class Gathering:
    """Rows that have passed all checks, as numbers.

    Args:
        columns: What is read.
        problems: Told of the rows that have not.
    """

    def __init__(self, columns: Columns, problems: Problems) -> None:
        self.columns, self.problems = columns, problems
        self.seen = 0
        self.users, self.items = Numbering(), Numbering()
        self._sizes: list[int] = []  # of the pieces, as they were kept
        self._user_codes: list[np.ndarray] = []
        self._item_codes: list[np.ndarray] = []
        self._ratings: list[np.ndarray] = []
        self._times: list[np.ndarray] = []
        self._is_seconds: list[np.ndarray | bool] = []
        self._seconds: IntArray | None = None
        self._kept: list[_Kept] = []

    def read(self, parts: Iterable[Part]) -> int:
        """Read all rows, and give how many are good.

        Raises:
            DataError: If a file cannot be read, or for a bad row where bad rows are errors.
        """
        for part in parts:
            for start, piece in part.pieces(self.columns.present):
                self._add(part, start, piece)
        return sum(self._sizes) - self._settle_times()

    def finish(self) -> tuple[Interactions, list[str], list[str]]:
        """All interactions, and the ids of users and items in row order."""
        ratings = joined(self._ratings) if self.columns.rating is not None else None
        user_ids, user_rows = self.users.finish(self._user_codes)
        item_ids, item_rows = self.items.finish(self._item_codes)
        return Interactions(user_rows, item_rows, ratings, self._seconds), user_ids, item_ids

    def _add(self, part: Part, start: int, piece: pl.DataFrame) -> None:
        self.seen += len(piece)
        user, item, rating, time = self.columns
        ids = piece.select(
            as_text(user, piece.schema[user], part.name).alias("user"),
            as_text(item, piece.schema[item], part.name).alias("item"),
        )
        good = np.ones(len(piece), dtype=bool)
        check = self._checker(part, start, good)
        check(piece[user], ids["user"].fill_null("") == "", ID)
        check(piece[item], ids["item"].fill_null("") == "", ID)
        numbers = None if rating is None else as_numbers(piece[rating], part.name)
        if numbers is not None and rating is not None:
            check(piece[rating], ~numbers.is_finite().fill_null(False), NUMBER)
        times = None if time is None else as_times(piece[time], part.name)
        if times is not None and time is not None:
            check(piece[time], ~times.values.is_finite().fill_null(False), TIME)
        rows = None if good.all() else np.flatnonzero(good)
        kept = ids if rows is None else ids[rows]
        self._kept.append(_Kept(part, start, np.flatnonzero(~good)))
        self._sizes.append(len(kept))
        self._keep(
            Good(
                self.users.codes(kept["user"]),
                self.items.codes(kept["item"]),
                None if numbers is None else _picked(numbers, rows),
                None if times is None else _picked(times.values, rows),
                False if times is None else _known(times, rows),
            )
        )

    def _keep(self, good: Good) -> None:
        self._user_codes.append(good.users)
        self._item_codes.append(good.items)
        if good.ratings is not None:
            self._ratings.append(good.ratings)
        if good.times is not None:
            self._times.append(good.times)
            self._is_seconds.append(good.is_seconds)

    def _checker(
        self, part: Part, start: int, good: np.ndarray
    ) -> Callable[[pl.Series, pl.Series, str], None]:
        """Takes a column, which of its rows are bad, and the rule; a row is bad by one rule only."""

        def check(column: pl.Series, bad: pl.Series, must: str) -> None:
            if bad.any():
                rows = np.flatnonzero(bad.to_numpy() & good)
                good[rows] = False
                first = [
                    {"table": part.name, "row": part.row_number(start + int(row)), "got": column[int(row)]}
                    for row in rows[:KEPT]
                ]
                self.problems.add(f"'{column.name}' {must}", len(rows), first)

        return check

    def _settle_times(self) -> int:
        """Whole seconds, rounded down; how many rows are taken out as their time is no time after all."""
        if self.columns.time is None:
            return 0
        sizes = [len(piece) for piece in self._times]
        seconds = seconds_of(joined(self._times), self._which_are_seconds(sizes))
        late = np.concatenate(
            [np.flatnonzero(np.abs(seconds[b]) > LATEST) + b.start for b in blocks(len(seconds))]
            or [np.empty(0, dtype=np.int64)]
        )
        if len(late):
            pieces = self._refuse_late(late, seconds[late])
            starts = np.cumsum([0, *self._sizes])
            for column in (self._user_codes, self._item_codes, self._ratings):
                for piece in np.unique(pieces) if column else ():
                    column[piece] = np.delete(column[piece], late[pieces == piece] - starts[piece])
            seconds = np.delete(seconds, late)
        whole: IntArray = seconds.view(np.int64)  # in place, as memory is dear here
        for some in blocks(len(seconds)):
            whole[some] = np.floor(seconds[some])
        self._seconds = whole
        return len(late)

    def _which_are_seconds(self, sizes: list[int]) -> np.ndarray | bool:
        for answer in (False, True):
            if all(known is answer for known in self._is_seconds):
                return answer
        return np.concatenate(
            [np.broadcast_to(known, size) for size, known in zip(sizes, self._is_seconds, strict=True)]
        )

    def _refuse_late(self, rows: IntArray, seconds: np.ndarray) -> IntArray:
        """Note rows that only all times together show to be bad, and give the piece of each, ``[r]``.

        Args:
            rows: Places among the rows that were kept, ``[r]`` ascending.
            seconds: Their times, at least of the first, in the same order.
        """
        starts = np.cumsum([0, *self._sizes])
        pieces: IntArray = np.searchsorted(starts, rows, side="right") - 1
        first = []
        for row, piece, got in zip(rows[:KEPT], pieces, seconds, strict=False):
            kept = self._kept[piece]
            number = kept.number(int(row - starts[piece]))
            first.append({"table": kept.part.name, "row": number, "got": float(got)})
        self.problems.add(f"'{self.columns.time}' {TIME}", len(rows), first)
        return pieces


def _known(times: Times, rows: IntArray | None) -> np.ndarray | bool:
    known = times.is_seconds
    return known if isinstance(known, bool) or rows is None else known[rows]


def _picked(values: pl.Series, rows: IntArray | None) -> np.ndarray:
    array = values.to_numpy()
    return array.copy() if rows is None else array[rows]
