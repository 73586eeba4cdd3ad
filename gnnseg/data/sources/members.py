"""Tables that are members of an archive, as the releases of MovieLens have them."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from gnnseg.data.archive import read_member
from gnnseg.errors import DataError

Layout = Mapping[str, type[pl.DataType]]
"""Columns in order, and what they hold: whole numbers, numbers or text."""

_UNIT = "\x1f"  # stands for the separator "::" of the 1M release; no title holds this character
_READS: Mapping[type[pl.DataType], type[int] | type[float]] = {pl.Int64: int, pl.Float64: float}


class _Member(NamedTuple):
    """A member that was read.

    Attributes:
        name: What messages call it.
        content: Its bytes, in UTF-8.
        layout: Of its columns, under the names that they have there.
        separator: Between two fields.
        has_header: Whether its first line names the columns; only then there are quotes, too.
    """

    name: str
    content: bytes
    layout: Layout
    separator: str = ","
    has_header: bool = False


def plain_table(archive: Path, member: str, layout: Layout, separator: str) -> pl.DataFrame:
    """A member without header and quotes, in Latin-1, as the old releases have it.

    Args:
        archive: The zip file.
        member: Its name there.
        layout: Of its columns.
        separator: Of one or two characters.

    Raises:
        DataError: If it cannot be read or is malformed; the message names the line.
    """
    content = read_member(archive, member)
    if separator == "::":
        separator, content = _UNIT, content.replace(b"::", _UNIT.encode())
    if not content.isascii():
        content = content.decode("latin-1").encode()
    read = _Member(f"'{archive}': '{member}'", content, layout, separator)
    with _reading(read):
        frame = pl.read_csv(
            content, has_header=False, schema=dict(layout), separator=separator, quote_char=None
        )
    return _without_gaps(frame, read)


def csv_table(archive: Path, member: str, layout: Layout, names: Mapping[str, str]) -> pl.DataFrame:
    """A member with header and quotes, in UTF-8, as the new releases have it.

    Args:
        archive: The zip file.
        member: Its name there.
        layout: Of the columns that are wanted.
        names: What some of them are called there.

    Raises:
        DataError: If it cannot be read or is malformed; the message names the line.
    """
    there = {names.get(column, column): dtype for column, dtype in layout.items()}
    read = _Member(f"'{archive}': '{member}'", read_member(archive, member), there, has_header=True)
    with _reading(read):
        frame = pl.read_csv(read.content, columns=list(there), schema_overrides=there)
    renamed = frame.select(pl.col(names.get(column, column)).alias(column) for column in layout)
    return _without_gaps(renamed, read)


@contextlib.contextmanager
def _reading(member: _Member) -> Iterator[None]:
    try:
        yield
    except pl.exceptions.PolarsError as error:
        reason = _bad_line(member) or f"is malformed: {str(error).splitlines()[0]}"
        raise DataError(f"{member.name} {reason}; delete it and fetch it again") from None


def _without_gaps(frame: pl.DataFrame, member: _Member) -> pl.DataFrame:
    """The table without blank lines.

    Raises:
        DataError: If it is empty, or a number is missing.
    """
    frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    gaps = frame.select(pl.col(pl.Int64, pl.Float64).is_null().any())
    if frame.is_empty() or any(gaps.row(0)):
        reason = _bad_line(member) or "is empty or lacks numbers"
        raise DataError(f"{member.name} {reason}; delete it and fetch it again")
    return frame


def _bad_line(member: _Member) -> str | None:
    """The first line that is no row of the table and what it must be, or None where all are."""
    text = io.TextIOWrapper(io.BytesIO(member.content), "utf-8", errors="replace", newline="")
    if member.has_header:
        rows = csv.reader(text, delimiter=member.separator)
    else:
        rows = csv.reader(text, delimiter=member.separator, quoting=csv.QUOTE_NONE)
    names = list(member.layout)
    with contextlib.suppress(csv.Error):  # such as a field without end
        names = next(rows, names) if member.has_header else names
        if not member.layout.keys() <= set(names):
            return None
        for row in filter(None, rows):
            problem = _problem(row, names, member.layout)
            if problem:
                return f"line {rows.line_num} {problem}"
    return None


def _problem(row: list[str], names: list[str], layout: Layout) -> str | None:
    if len(row) > len(names):
        return f"must have at most {len(names)} fields (got {len(row)})"
    cells = dict(zip(names, row, strict=False))
    for name, dtype in layout.items():
        try:
            _READS.get(dtype, str)(cells.get(name, ""))
        except ValueError:
            noun = "a whole number" if dtype is pl.Int64 else "a number"
            return f"must have {noun} as '{name}' (got {cells.get(name, '')[:40]!r})"
    return None
