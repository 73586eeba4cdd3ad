"""Recommendations of many users as a table on disk, written block by block."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from gnnseg.errors import ConfigError
from gnnseg.files import writing
from gnnseg.recommend import Recommender
from gnnseg.rules import Rules
from gnnseg.tracking import Tracker

SUFFIXES = (".parquet", ".csv", ".jsonl")

BLOCK_ROWS = 2**18
"""Rows of the table gathered before they are written."""

_FORMULA = r"^[=+\-@\t\r]"


def write_lists(
    recommender: Recommender,
    path: Path,
    k: int = 10,
    rows: np.ndarray | None = None,
    rules: Rules | None = None,
    texts: bool = False,
    tracker: Tracker | None = None,
) -> int:
    """Write the lists of users to a table; memory does not grow with their number.

    Columns are ``user``, ``rank`` from 1, ``item``, ``score`` and, if wanted, ``text``. In csv a text that a
    spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"); ids are left as
    they are, so that they still match other tables.

    Args:
        recommender: Of a loaded run.
        path: Ends in .parquet, .csv or .jsonl; whole or absent.
        k: Length of a list.
        rows: Of users, ``[m]``; None for all.
        rules: What lists must keep to.
        texts: Whether to write the items' texts.
        tracker: Shown the progress.

    Returns:
        Rows written.

    Raises:
        ConfigError: For another ending, ``k`` out of range, or texts that the run does not have.
        GnnsegError: If the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--out must end in .parquet, .csv or .jsonl (got '{path.name}')")
    if texts and recommender.run.texts is None:
        raise ConfigError(f"the items of '{recommender.run.folder}' have no texts")
    if rows is None:
        rows = np.arange(len(recommender.run.users))
    frames = _frames(recommender, rows, k, rules, texts, tracker)
    write = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}[path.suffix]
    with writing(path) as temporary:
        return write(temporary, frames)


def _frames(
    recommender: Recommender,
    rows: np.ndarray,
    k: int,
    rules: Rules | None,
    texts: bool,
    tracker: Tracker | None,
) -> Iterator[pl.DataFrame]:
    """Parts of the table of about :data:`BLOCK_ROWS` rows, one at least."""
    run = recommender.run
    users, items = pl.Series(run.users.ids, dtype=pl.String), pl.Series(run.items.ids, dtype=pl.String)
    words = pl.Series(run.texts, dtype=pl.String) if texts else None
    waiting: list[pl.DataFrame] = []
    for some, best, scores in recommender.blocks(rows, k, rules, tracker):
        columns = {
            "user": users.gather(some.repeat(k)),
            "rank": pl.Series(np.tile(np.arange(1, k + 1, dtype=np.int32), len(some))),
            "item": items.gather(best.ravel()),
            "score": pl.Series(scores.ravel()),
        }
        if words is not None:
            columns["text"] = words.gather(best.ravel())
        waiting.append(pl.DataFrame(columns).filter(pl.col("score").is_finite()))
        if sum(map(len, waiting)) >= BLOCK_ROWS:
            yield pl.concat(waiting)
            waiting = []
    if waiting:
        yield pl.concat(waiting)


def _parquet(path: Path, frames: Iterator[pl.DataFrame]) -> int:
    """Parts beside the file, then all in one, streamed."""
    with tempfile.TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as folder:
        parts: list[Path] = []
        rows = 0
        for frame in frames:
            parts.append(Path(folder) / f"{len(parts):06}.parquet")
            frame.write_parquet(parts[-1])
            rows += len(frame)
        if len(parts) == 1:
            parts[0].replace(path)
        else:
            pl.scan_parquet(parts).sink_parquet(path)
    return rows


def _csv(path: Path, frames: Iterator[pl.DataFrame]) -> int:
    return _appended(path, frames, lambda frame, file, first: frame.write_csv(file, include_header=first))


def _jsonl(path: Path, frames: Iterator[pl.DataFrame]) -> int:
    return _appended(path, frames, lambda frame, file, first: frame.write_ndjson(file))


def _appended(path: Path, frames: Iterator[pl.DataFrame], write: Callable[..., object]) -> int:
    rows = 0
    with path.open("wb") as file:
        for number, frame in enumerate(frames):
            write(_defused(frame) if path.suffix == ".csv" else frame, file, number == 0)
            rows += len(frame)
    return rows


def _defused(frame: pl.DataFrame) -> pl.DataFrame:
    if "text" not in frame.columns:
        return frame
    text = pl.col("text")
    return frame.with_columns(
        pl.when(text.str.contains(_FORMULA)).then(pl.lit("'") + text).otherwise(text).alias("text")
    )
