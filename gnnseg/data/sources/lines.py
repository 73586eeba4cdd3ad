"""Lines of text that are no rows, found in Python where polars says only that it failed."""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from gnnseg.data.ids import IntArray
from gnnseg.data.sources import limits

DAMAGED = (OSError, EOFError, zlib.error, pl.exceptions.PolarsError)
"""What a file raises that cannot be read, or unpacked, to its end."""

_UNIT = "\x1f"  # separates nothing, as no table holds this character
_NO_RECORD = {"field large": f"must have fields of at most {limits.LONGEST_LINE} characters"}
_BATCH = 100_000  # lines held at once
_NO_UTF8 = "\ufffd"  # what polars reads where there is none


class Row(NamedTuple):
    """A row of a text file.

    Attributes:
        line: Its last line, from 1.
        content: Its text as it is written to a whole copy.
        problem: What is wrong with it, or None.
    """

    line: int
    content: str
    problem: str | None


def kind_of(path: Path) -> str:
    """The ending that tells a file's format, without that of its compression."""
    return path.name.lower().removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]


def malformed(path: Path) -> Row | None:
    """The first row of a csv, tsv or jsonl file that is malformed, or None where no such row is found."""
    with contextlib.suppress(*DAMAGED):
        return next((row for row in _rows(path) if row.problem), None)
    return None


def without_malformed(path: Path, folder: Path) -> tuple[Path, list[tuple[int, Row]]]:
    """A copy of a csv, tsv or jsonl file without the rows that are none.

    Returns:
        The copy, and the malformed rows with their places among all rows, from 0.

    Raises:
        DAMAGED: If it cannot be read, or breaks off: the copy would lack rows.
    """
    copy = folder / f"whole.{kind_of(path)}"
    bad: list[tuple[int, Row]] = []
    with copy.open("w", encoding="utf-8", newline="") as file:
        header = 0 if _is_json(path) else 1
        for number, row in enumerate(_rows(path)):
            if row.problem:
                bad.append((number - header, row))
            else:
                file.write(row.content)
    return copy, bad


def place(row: int, removed: IntArray) -> int:
    """The place among all rows of a row that is left when ``removed``, ``[r]`` ascending, are gone."""
    return row + int(np.searchsorted(removed - np.arange(len(removed)), row, side="right"))


def _is_json(path: Path) -> bool:
    return kind_of(path) in ("jsonl", "ndjson")


def _rows(path: Path) -> Iterator[Row]:
    if kind_of(path) == "parquet":
        return
    with _opened(path) as file:
        yield from _objects(file) if _is_json(path) else _records(file, kind_of(path) == "tsv")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Iterable[bytes]]:
    """The lines of a file, plain or compressed."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"\x28\xb5\x2f\xfd":
        yield _zstd_lines(path)
        return
    opened = gzip.open if start[:2] == b"\x1f\x8b" else open
    with opened(path, "rb") as file:
        yield file


def _zstd_lines(path: Path) -> Iterator[bytes]:
    """The lines of a Zstandard file, by polars, as the standard library of Python 3.11 does not read them."""

    def scan(encoding: Literal["utf8", "utf8-lossy"]) -> Iterator[pl.DataFrame]:
        lines = pl.scan_csv(
            path,
            has_header=False,
            separator=_UNIT,
            quote_char=None,
            schema={"line": pl.String},
            truncate_ragged_lines=True,
            encoding=encoding,
            glob=False,
        )
        return lines.collect_batches(chunk_size=_BATCH, engine="streaming")

    try:
        whole = all(True for _ in scan("utf8"))
    except DAMAGED:
        whole = False
    for batch in scan("utf8" if whole else "utf8-lossy"):
        for text in batch["line"]:
            line = f"{text or ''}\n"
            yield (line if whole else line.replace(_NO_UTF8, "\udcff")).encode(errors="surrogateescape")


def _objects(file: Iterable[bytes]) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        text, problem = line.decode("utf-8", errors="replace"), None
        if not text.strip():
            continue
        try:
            if not isinstance(json.loads(line.decode("utf-8"), parse_constant=_refuse), dict):
                problem = "must be a JSON object"
        except UnicodeDecodeError:
            problem = "must be UTF-8"
        except (ValueError, RecursionError):
            problem = "must be a JSON object"
        yield Row(number, text, problem)


def _refuse(constant: str) -> None:
    """NaN and infinities are no JSON, though Python reads them."""
    raise ValueError(constant)


def _records(file: Iterable[bytes], tabs: bool) -> Iterator[Row]:
    separator = "\t" if tabs else ","
    csv.field_size_limit(limits.LONGEST_LINE)
    texts = (line.decode("utf-8", errors="surrogateescape") for line in file)
    reader = csv.reader(texts, delimiter=separator, strict=True)
    fields = 0
    while True:
        problem = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells, problem = [], _NO_RECORD.get(str(error)[:11], "must close its quotes")
        fields = fields or len(cells)
        if len(cells) > fields:
            problem = f"must have at most the header's {fields} fields"
        elif any(not cell.isascii() and _is_broken(cell) for cell in cells):
            problem = "must be UTF-8"
        yield Row(reader.line_num, "" if problem else _joined(cells or [""] * fields, separator), problem)


def _is_broken(cell: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in cell)


def _joined(cells: list[str], separator: str) -> str:
    """A record as polars reads it back, empty cells as such."""
    special = (separator, '"', "\n", "\r")
    quoted = (
        '"' + cell.replace('"', '""') + '"' if any(s in cell for s in special) else cell for cell in cells
    )
    return separator.join(quoted) + "\n"
