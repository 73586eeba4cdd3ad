"""Tables as they lie: one part a file, read piece by piece, watched while it is read."""

from __future__ import annotations

import contextlib
import glob
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from gnnseg.data.ids import IntArray
from gnnseg.data.sources.limits import refuse_unbounded
from gnnseg.data.sources.lines import DAMAGED, Row, kind_of, malformed, place, without_malformed
from gnnseg.data.sources.problems import KEPT, Problems
from gnnseg.errors import DataError, unknown

FORMATS = ("csv", "tsv", "jsonl", "ndjson", "parquet")

PIECE = 250_000
"""Rows held as text at once."""

_BLANK = "\x00blank"  # a name that no column has
_INFERRED = 1_000  # rows of JSON whose keys are looked at before all are


@dataclass(frozen=True)
class Part:
    """A file of a table, or all of it.

    Attributes:
        name: What messages call it.
        rows: Its rows, not read yet.
        path: The file that must not change while it is read, or None.
        state: Of that file before it was read.
        is_csv: Whether a row may be blank.
        removed: Places of rows that were taken out before, ascending.
        offset: Rows of the table before this part, where they have no file of their own.
    """

    name: str
    rows: pl.LazyFrame
    path: Path | None = None
    state: tuple[int, ...] = ()
    is_csv: bool = False
    removed: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    offset: int = 0

    def row_number(self, row: int) -> int:
        """The number of a row in messages, from 1; a header is no row."""
        return self.offset + place(row, self.removed) + 1

    def pieces(self, columns: Sequence[str]) -> Iterator[tuple[int, pl.DataFrame]]:
        """The rows in order, a piece at a time, each with the place of its first row.

        Blank rows at the end of a csv file are none. All columns of a csv file are parsed, as polars
        overlooks rows with too many fields otherwise; of other formats only those that are wanted.

        Args:
            columns: Which columns.

        Raises:
            DataError: If the file is malformed, or changes while it is read.
        """
        wanted = [pl.col(name) for name in dict.fromkeys(columns)]
        if self.is_csv:
            wanted.append(pl.all_horizontal(pl.all().is_null()).alias(_BLANK))
        start, blank = 0, 0
        with self.watched():
            for piece in self.rows.select(wanted).collect_batches(chunk_size=PIECE, engine="streaming"):
                if self.is_csv:
                    piece, blank = _without_blank_end(piece, blank)
                yield start, piece
                start += len(piece)

    def described(self, columns: Sequence[pl.Expr], key: str) -> pl.DataFrame:
        """Some columns of the first row of each ``key`` that is there.

        Raises:
            DataError: If the file is malformed, or changes while it is read.
        """
        with self.watched():
            rows = self.rows
            if self.is_csv:  # all columns are parsed, as above
                rows = rows.filter(~pl.all_horizontal(pl.all().is_null()))
            rows = rows.select(columns).filter(pl.col(key).is_not_null())
            first = rows.unique(key, keep="first", maintain_order=True)
            return first.collect(engine="streaming")

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Turn what polars says into one line, and refuse a file that changes meanwhile.

        Raises:
            DataError: If the file is empty, cannot be read or has changed.
        """
        try:
            yield
        except pl.exceptions.NoDataError:
            raise DataError(f"{self.name} is empty") from None
        except (OSError, pl.exceptions.PolarsError) as error:
            self._refuse_changed()
            raise DataError(f"cannot read {self.name}: {_reason(error, self.path)}") from None
        self._refuse_changed()

    def _refuse_changed(self) -> None:
        if self.path is not None and _state(self.path) != self.state:
            raise DataError(f"{self.name} changed while it was read; read it again when it is written")


def find(folder: Path, name: str) -> list[Path]:
    """The files that a path, the path of a folder or a pattern stands for, in order of their paths.

    Raises:
        DataError: If there is none.
    """
    path = folder / name
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.is_file() and kind_of(p) in FORMATS)
        shown = [p for p in inside if not any(part[0] in "._" for part in p.relative_to(path).parts)]
        if not shown:
            raise DataError(f"cannot read '{path}': this folder has no csv, tsv, jsonl or parquet file")
        return shown
    if path.exists() or not glob.has_magic(name):
        return [path]
    given = Path(name)
    root, pattern = (Path(given.anchor), name[len(given.anchor) :]) if given.is_absolute() else (folder, name)
    files = sorted(match for match in root.glob(pattern) if match.is_file())
    if not files:
        raise DataError(f"cannot read '{path}': no file has such a name")
    return files


def open_file(path: Path, columns: Sequence[str], *, as_text: bool) -> Part:
    """A file as a part; only its schema is read.

    Args:
        path: csv, tsv, jsonl or parquet; the text formats may be compressed with gz or zst.
        columns: Which columns must be there.
        as_text: Whether these columns of JSON are wanted as text; else the whole file tells their types.

    Raises:
        DataError: If it cannot be read, is empty or lacks a column; the message names the nearest.
    """
    kind = kind_of(path)
    if kind not in FORMATS:
        raise DataError(f"'{path}': the name must end in csv, tsv, jsonl or parquet (got '{path.name}')")
    part = Part(f"'{path}'", pl.LazyFrame(), path, is_csv=kind in ("csv", "tsv"))
    try:
        state = _state(path)
        if not path.stat().st_size:
            raise pl.exceptions.NoDataError
        if kind != "parquet":
            refuse_unbounded(path)
        rows = _scan(path, kind, columns if as_text else ())
        names = rows.collect_schema().names()
    except pl.exceptions.NoDataError:
        raise DataError(f"'{path}' is empty") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"cannot read '{path}': {_reason(error, path)}") from None
    for column in columns:
        if column not in names:
            raise DataError(f"'{path}': {unknown('column', column, names)}")
    return Part(part.name, rows, path, state, part.is_csv)


def open_repaired(
    path: Path, columns: Sequence[str], problems: Problems, stack: contextlib.ExitStack
) -> Part:
    """A file as a part without the rows that are none, which are added to ``problems``.

    Args:
        path: As for :func:`open_file`.
        columns: Which columns must be there.
        problems: Told of the rows.
        stack: Keeps a copy of a malformed file until it closes.

    Raises:
        DataError: As for :func:`open_file`; for rows of which it cannot be told what they are.
    """
    part = _readable(path, columns)
    if part is not None:
        return part
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gnnseg-")))
    state = _state(path)
    try:
        copy, bad = without_malformed(path, folder)
    except DAMAGED as error:
        raise DataError(f"cannot read '{path}': {_reason(error, path)}") from None
    if not bad:
        return open_file(path, columns, as_text=True)  # what fails, fails with its own message
    if not copy.stat().st_size:
        row = bad[0][1]
        raise DataError(f"'{path}' has no row that is good: line {row.line} {row.problem}")
    try:
        whole = open_file(copy, columns, as_text=True)
    except DataError as error:  # the copy is nothing that anybody knows
        raise DataError(str(error).replace(f"'{copy}'", f"'{path}'")) from None
    for rule in dict.fromkeys(row.problem for _, row in bad):
        rows = [(number, row) for number, row in bad if row.problem == rule]
        first = [{"table": f"'{path}'", "row": n + 1, "line": row.line} for n, row in rows[:KEPT]]
        problems.add(str(rule), len(rows), first)
    removed = np.array([number for number, _ in bad], dtype=np.int64)
    return Part(f"'{path}'", whole.rows, path, state, whole.is_csv, removed)


def _readable(path: Path, columns: Sequence[str]) -> Part | None:
    """The part, or None if rows of its file are malformed."""
    try:
        part = open_file(path, columns, as_text=True)
        if kind_of(path) != "parquet":
            part.rows.select(pl.all().is_null().sum()).collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError):  # older polars tell a cut file by the former
        return None
    except DataError:
        if path.is_file() and malformed(path) is not None:
            return None
        raise
    return part


def _scan(path: Path, kind: str, as_text: Sequence[str]) -> pl.LazyFrame:
    if kind == "parquet":
        return pl.scan_parquet(path, glob=False)
    if kind in ("csv", "tsv"):
        separator = "\t" if kind == "tsv" else ","
        return pl.scan_csv(path, separator=separator, infer_schema=False, glob=False)
    if as_text:
        for rows in (_INFERRED, None):
            types = pl.scan_ndjson(path, infer_schema_length=rows).collect_schema()
            if all(name in types for name in as_text):
                text = {n: types[n] if types[n].is_nested() else pl.String() for n in dict.fromkeys(as_text)}
                return pl.scan_ndjson(path, schema=text)
    return pl.scan_ndjson(path, infer_schema_length=None)


def _without_blank_end(piece: pl.DataFrame, before: int) -> tuple[pl.DataFrame, int]:
    """A piece with the blank rows before it and without those at its end, and how many these are."""
    filled = (~piece[_BLANK]).arg_true()
    piece = piece.drop(_BLANK)
    if not len(filled):
        return piece.clear(), before + len(piece)
    last = int(filled[-1]) + 1
    whole = piece.head(last)
    if before:
        whole = pl.concat([piece.clear(before), whole])
    return whole, len(piece) - last


def _state(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _reason(error: Exception, path: Path | None) -> str:
    """Why a file cannot be read: its first row that is none, or what polars says."""
    row: Row | None = None
    if path is not None and isinstance(error, pl.exceptions.PolarsError):
        row = malformed(path)
    if row is not None:
        return f"line {row.line} {row.problem}"
    return getattr(error, "strerror", None) or (str(error) or type(error).__name__).splitlines()[0]
