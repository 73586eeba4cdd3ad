"""Ids, numbers, times and texts as columns hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

from gnnseg.data.ids import FloatArray, IntArray
from gnnseg.errors import DataError

LATEST = 1e12
"""Seconds from 1970 that no time is away from it."""

_CONTROL = r"[\p{Cc}\x{2028}\x{2029}]+"
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # from which size on, how many in a second
_WHOLE = 2.0**63
_BLOCK = 2**20

_Texts = TypeVar("_Texts", pl.Series, pl.Expr)


def as_text(name: str, dtype: pl.DataType, table: str) -> pl.Expr:
    """A column as text on one line: whole numbers without ``.0``, runs of control characters as a space.

    Raises:
        DataError: If it holds neither text nor numbers.
    """
    column = pl.col(name)
    if dtype.is_nested() or dtype == pl.Binary:
        raise DataError(f"{table}: column '{name}' must hold text or numbers (got {dtype})")
    if dtype.is_integer():
        return column.cast(pl.String)
    if dtype.is_float() or dtype.is_decimal():
        number = column.cast(pl.Float64).fill_nan(None)
        whole = (number % 1 == 0) & (number.abs() < _WHOLE)
        as_whole = number.cast(pl.Int64, strict=False).cast(pl.String)
        return pl.when(whole).then(as_whole).otherwise(number.cast(pl.String)).alias(name)
    return _on_one_line(column.cast(pl.String))


def _on_one_line(texts: _Texts) -> _Texts:
    return texts.str.replace_all(_CONTROL, " ").str.strip_chars()


def as_numbers(values: pl.Series, table: str) -> pl.Series:
    """A column as float64; what is no number is null.

    Raises:
        DataError: If it is of a type that holds no numbers.
    """
    if values.dtype.is_nested() or values.dtype.is_temporal() or values.dtype == pl.Binary:
        raise DataError(f"{table}: column '{values.name}' must hold numbers (got {values.dtype})")
    numbers = values.cast(pl.Float64, strict=False)
    if values.dtype == pl.String and numbers.null_count() > values.null_count():
        return _on_one_line(values).cast(pl.Float64, strict=False)
    return numbers


class Times(NamedTuple):
    """Times as they were read.

    Attributes:
        values: Numbers of a unit that only all of them together tell, or seconds since 1970-01-01 UTC; null
            for what is no time.
        is_seconds: Which are seconds, or one answer for all.
    """

    values: pl.Series
    is_seconds: np.ndarray | bool


def as_times(raw: pl.Series, table: str) -> Times:
    """A column of dates, numbers (also as text) or ISO 8601 texts; without a zone they are UTC.

    Raises:
        DataError: If it is of a type that holds no times.
    """
    if raw.dtype in (pl.Date, pl.Datetime):
        moments = raw.cast(pl.Datetime("us", getattr(raw.dtype, "time_zone", None)))
        return Times(moments.dt.epoch("us") / 1e6, True)
    numbers = as_numbers(raw, table)
    if raw.dtype != pl.String or not numbers.null_count():
        return Times(numbers, False)
    seconds = _iso_seconds(_on_one_line(raw))
    return Times(numbers.fill_null(seconds), (numbers.is_null() & seconds.is_not_null()).to_numpy())


def seconds_of(values: FloatArray, is_seconds: np.ndarray | bool) -> FloatArray:
    """Times in seconds; numbers are milli-, micro- or nanoseconds where they are too large for seconds.

    Their median must be beyond the year 5138 for that, so that one wrong row changes no other.

    Args:
        values: Numbers and seconds, finite, ``[m]``; changed in place.
        is_seconds: Which are seconds already, ``[m]``, or whether all are.
    """
    numbers: np.ndarray | slice = slice(None) if is_seconds is False else ~np.asarray(is_seconds)
    if is_seconds is not True and (some := values[numbers]).size:
        per_second = unit_of(lambda: (some[block] for block in blocks(len(some))))
        if per_second != 1:
            values[numbers] /= per_second
    return values


def unit_of(numbers: Callable[[], Iterable[FloatArray]]) -> float:
    """How many of the unit that numbers are in make a second, as their median tells.

    Args:
        numbers: Gives all of them, a block at a time, as often as it is called.
    """
    return next((unit for least, unit in _UNITS if _median_exceeds(numbers(), least)), 1.0)


def blocks(length: int) -> Iterator[slice]:
    """Slices that cover ``length`` rows, for steps that need as much memory again."""
    return (slice(start, start + _BLOCK) for start in range(0, length, _BLOCK))


def _median_exceeds(values: Iterable[FloatArray], bound: float) -> bool:
    """Whether the median of the absolute values is above ``bound``, by counting, without a copy of them."""
    total, above, below_most, above_least = 0, 0, -np.inf, np.inf
    for some in values:
        sizes = np.abs(some)
        larger = sizes > bound
        total += len(some)
        above += int(larger.sum())
        below_most = max(below_most, np.max(sizes, where=~larger, initial=-np.inf))
        above_least = min(above_least, np.min(sizes, where=larger, initial=np.inf))
    if not total or 2 * above != total:
        return 2 * above > total
    return bool((below_most + above_least) / 2 > bound)


def _iso_seconds(texts: pl.Series) -> pl.Series:
    known: dict[str | None, float | None] = {None: None}
    for text in texts.unique().drop_nulls():
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            known[text] = None
        else:
            known[text] = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return pl.Series([known[text] for text in texts], dtype=pl.Float64)


class Numbering:
    """Ids to rows while they stream by; no text is held twice."""

    def __init__(self) -> None:
        self._type = pl.Categorical(pl.Categories.random())
        # polars forgets the mapping of a type that no series has
        self._alive = pl.Series(["\x00"], dtype=pl.String).cast(self._type)
        self._names: list[str] = []
        self._places = np.empty(0, dtype=np.int64)  # of a code's name in _names, or -1

    def codes(self, ids: pl.Series) -> np.ndarray:
        """A number for each id, ``[n]`` int32, equal for equal ids; ``ids`` are text without nulls."""
        codes = ids.cast(self._type).to_physical().to_numpy()
        if not len(codes):
            return codes.astype(np.int32)
        if (size := int(codes.max()) + 1) > len(self._places):
            more = np.full(max(size, 2 * len(self._places)) - len(self._places), -1, dtype=np.int64)
            self._places = np.concatenate([self._places, more])
        fresh = np.flatnonzero(self._places[codes] < 0)
        found, first = np.unique(codes[fresh], return_index=True)
        self._places[found] = np.arange(len(self._names), len(self._names) + len(found))
        self._names += ids.gather(fresh[first]).to_list()
        return codes.astype(np.int32)

    def finish(self, codes: list[np.ndarray]) -> tuple[list[str], IntArray]:
        """The ids that occur, in the order of their text, and the row of each code, ``[n]``.

        Args:
            codes: As they came; emptied on the way, so that they are not held twice.
        """
        used = np.zeros(len(self._places), dtype=bool)
        for some in codes:
            used[some] = True
        names, rows = self.ordered(used)
        return names, joined(codes, rows)

    def ordered(self, used: np.ndarray) -> tuple[list[str], IntArray]:
        """The ids of some codes, in the order of their text, and the row of each of these codes, ``[c]``.

        Args:
            used: Whether a code occurs, ``[c]``; none after these do.
        """
        found = np.flatnonzero(used)
        names = pl.Series([self._names[place] for place in self._places[found]], dtype=pl.String)
        order = names.arg_sort().to_numpy()
        rows = np.empty(len(used), dtype=np.int64)
        rows[found[order]] = np.arange(len(found))
        return names.gather(order).to_list(), rows


def joined(pieces: list[np.ndarray], rows: IntArray | None = None) -> np.ndarray:
    """Arrays ``[m]`` in one, mapped through ``rows`` if given; ``pieces`` is emptied on the way."""
    length = sum(map(len, pieces))
    dtype = pieces[0].dtype if rows is None and pieces else np.int64
    whole = np.empty(length, dtype=dtype)
    end = length
    while pieces:
        piece = pieces.pop()
        whole[end - len(piece) : end] = piece if rows is None else rows[piece]
        end -= len(piece)
    return whole


def align(frame: pl.DataFrame, key: str, ids: pl.Series) -> pl.DataFrame:
    """One row an id, in the order of ``ids``.

    Ids that the table lacks get nulls; of rows with the same id the first counts.
    """
    place = "\x00place"  # a name that no column has
    wanted = pl.DataFrame({place: range(len(ids)), key: ids}, schema_overrides={place: pl.Int64})
    first = frame.filter(pl.col(key).is_not_null()).unique(key, keep="first", maintain_order=True)
    return wanted.join(first, on=key, how="left").sort(place).drop(place)
