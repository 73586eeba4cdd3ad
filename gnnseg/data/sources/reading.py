"""Tables from files: checked columns, numbers and times, each complaint with its path and row.

Rows are counted from 1; a header is no row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from gnnseg.data.ids import FloatArray, IntArray
from gnnseg.errors import DataError, unknown

_CONTROL = r"[\p{Cc}\x{2028}\x{2029}]+"
_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # from which size on, how many in a second


def read_table(path: Path, columns: Sequence[str], text: Sequence[str] = ()) -> pl.DataFrame:
    """Read some columns of a csv, tsv, jsonl or parquet file.

    Everything in a csv or tsv file is text. Blank lines at its end are dropped.

    Args:
        path: The file; csv, tsv and jsonl may be compressed with gz or zst.
        columns: Which columns; none means all.
        text: Which of them are wanted as text. Whole numbers held as floats lose their ``.0``.

    Returns:
        The columns, runs of control characters in text replaced by a space.

    Raises:
        DataError: If the file cannot be read or lacks a column; the message names the nearest.
    """
    try:
        if path.stat().st_size == 0:
            raise DataError(f"'{path}' is empty")
        frame = _read(path)
    except pl.exceptions.NoDataError:
        raise DataError(f"'{path}' is empty") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DataError(f"cannot read '{path}': {reason}") from None
    for column in (*columns, *text):
        if column not in frame.columns:
            raise DataError(f"'{path}': {unknown('column', column, frame.columns)}")
    if columns:
        frame = frame.select(list(dict.fromkeys(columns)))
    return frame.with_columns(
        _as_text(frame[name], path)
        for name in frame.columns
        if name in text or frame[name].dtype == pl.String
    )


def _read(path: Path) -> pl.DataFrame:
    kind = path.name.lower().removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]
    if kind == "parquet":
        return pl.read_parquet(path, glob=False)
    if kind in ("jsonl", "ndjson"):
        return pl.read_ndjson(path, infer_schema_length=None)
    if kind in ("csv", "tsv"):
        separator = "\t" if kind == "tsv" else ","
        return _without_blank_end(pl.read_csv(path, separator=separator, infer_schema=False, glob=False))
    raise DataError(f"'{path}': the name must end in csv, tsv, jsonl or parquet (got '{path.name}')")


def _without_blank_end(frame: pl.DataFrame) -> pl.DataFrame:
    filled = frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().arg_true()
    return frame.head(int(filled[-1]) + 1 if len(filled) else 0)


def _as_text(values: pl.Series, path: Path) -> pl.Series:
    """A column as text on one line."""
    if values.dtype.is_float() and (values.drop_nulls() % 1 == 0).all():
        values = values.cast(pl.Int64, strict=False)
    if values.dtype.is_nested() or values.dtype == pl.Binary:
        raise DataError(f"'{path}': column '{values.name}' must hold text or numbers (got {values.dtype})")
    return values.cast(pl.String).str.replace_all(_CONTROL, " ").str.strip_chars()


def number_ids(frame: pl.DataFrame, column: str, path: Path) -> tuple[list[str], IntArray]:
    """The different ids of a text column in order, and the row of each entry among them.

    Raises:
        DataError: If an id is empty.
    """
    ids = frame[column]
    _refuse(ids, ids.is_null() | (ids == ""), path, "must hold an id")
    rows = (ids.rank("dense").cast(pl.Int64) - 1).to_numpy()
    return ids.unique().sort().to_list(), rows


def finite_numbers(frame: pl.DataFrame, column: str, path: Path) -> FloatArray:
    """A column as numbers.

    Raises:
        DataError: If one is missing, no number, or not finite.
    """
    values = _floats(frame[column], path)
    _refuse(frame[column], values.is_null() | ~values.is_finite(), path, "must be a finite number")
    return values.to_numpy()


def epoch_seconds(frame: pl.DataFrame, column: str, path: Path) -> IntArray:
    """A column as whole seconds since 1970-01-01 UTC, rounded down.

    Numbers, also as text, are seconds, or milli-, micro- or nanoseconds where their median is too large for
    seconds (beyond the year 5138). Other text is ISO 8601. Times without a zone are UTC.

    Raises:
        DataError: If one is missing or not a time.
    """
    raw = frame[column]
    if raw.dtype in (pl.Date, pl.Datetime):
        seconds = raw.cast(pl.Datetime("us", getattr(raw.dtype, "time_zone", None))).dt.epoch("us") / 1e6
    else:
        seconds = _scaled(_floats(raw, path))
        if raw.dtype == pl.String and seconds.null_count():
            seconds = seconds.fill_null(_iso_seconds(raw))
    bad = seconds.is_null() | ~seconds.is_finite() | (seconds.abs() > 1e12)
    _refuse(raw, bad, path, "must be epoch seconds, epoch milliseconds or an ISO 8601 time")
    whole: IntArray = np.floor(seconds.to_numpy()).astype(np.int64)
    return whole


def _floats(values: pl.Series, path: Path) -> pl.Series:
    if values.dtype.is_nested() or values.dtype.is_temporal() or values.dtype == pl.Binary:
        raise DataError(f"'{path}': column '{values.name}' must hold numbers (got {values.dtype})")
    return values.cast(pl.Float64, strict=False)


def _scaled(numbers: pl.Series) -> pl.Series:
    """Numbers of any unit as seconds; the median tells the unit, so that one wrong row changes no other."""
    typical = numbers.filter(numbers.is_finite()).abs().median()
    for least, per_second in _UNITS:
        if isinstance(typical, float) and typical > least:
            return numbers / per_second
    return numbers


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


def _refuse(values: pl.Series, bad: pl.Series, path: Path, must: str) -> None:
    if bad.any():
        at = int(bad.arg_true()[0])
        raise DataError(f"'{path}' row {at + 1}: '{values.name}' {must} (got {repr(values[at])[:60]})")


def align(frame: pl.DataFrame, key: str, ids: pl.Series) -> pl.DataFrame:
    """One row an id, in the order of ``ids``.

    Ids that the table lacks get nulls; of rows with the same id the first counts.
    """
    place = "\x00place"  # a name that no column has
    wanted = pl.DataFrame({place: range(len(ids)), key: ids}, schema_overrides={place: pl.Int64})
    first = frame.filter(pl.col(key).is_not_null()).unique(key, keep="first", maintain_order=True)
    return wanted.join(first, on=key, how="left").sort(place).drop(place)
