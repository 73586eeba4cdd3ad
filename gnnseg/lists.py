"""Recommendations of many users as a table on disk, written block by block."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import torch

from gnnseg.errors import ConfigError, GnnsegError
from gnnseg.files import writing
from gnnseg.ranking import users_at_once
from gnnseg.ranks import Ranks, shares
from gnnseg.recommend import Recommender
from gnnseg.rules import Rules
from gnnseg.tracking import Task, Tracker

SUFFIXES = (".parquet", ".csv", ".jsonl")

BLOCK_ROWS = 2**16
"""Rows of the table gathered before they are written, about; what several processes divide among them."""

_FORMULA = r"^[=+\-@\t\r]"


def write_lists(
    recommender: Recommender,
    path: Path,
    k: int = 10,
    rows: np.ndarray | None = None,
    rules: Rules | None = None,
    texts: bool = False,
    tracker: Tracker | None = None,
    ranks: Ranks | None = None,
) -> int:
    """Write the lists of users to a table; memory does not grow with their number.

    Columns are ``user``, ``rank`` from 1, ``item``, ``score`` and, if wanted, ``text``. In csv a text that a
    spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"); ids are left as
    they are, so that they still match other tables.

    Several processes each write the parts of some users beside ``path``, and the first joins them: with as
    many threads the bytes are those of one process.

    Args:
        recommender: Of a loaded run.
        path: Ends in .parquet, .csv or .jsonl; whole or absent. In a folder that all processes see.
        k: Length of a list.
        rows: Of users, ``[m]``; None for all.
        rules: What lists must keep to.
        texts: Whether to write the items' texts.
        tracker: Shown the progress.
        ranks: The processes, which all call this, or None.

    Returns:
        Rows written, by all processes.

    Raises:
        ConfigError: For another ending, ``k`` out of range, or texts that the run does not have.
        GnnsegError: If the file cannot be written.
        TrainingError: If another process stopped.
    """
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"--out must end in .parquet, .csv or .jsonl (got '{path.name}')")
    if texts and recommender.run.texts is None:
        raise ConfigError(f"the items of '{recommender.run.folder}' have no texts")
    if rows is None:
        rows = np.arange(len(recommender.run.users))
    blocks = list(enumerate(_blocks(rows, k, len(recommender.run.items))))
    wanted = _Lists(recommender, k, rules, texts, tracker or Tracker())
    if ranks is None:
        with writing(path) as temporary, _parts_of(temporary) as folder:
            written = wanted.write(folder, path.suffix, blocks)
            _join(folder, temporary)
        return written
    bounds = shares(len(blocks), ranks.size, 1)
    own = blocks[bounds[ranks.rank] : bounds[ranks.rank + 1]]
    if ranks.rank:
        try:
            return _written(ranks, wanted.write(Path(ranks.tell()), path.suffix, own))
        except OSError as error:
            raise GnnsegError(f"cannot write '{path}': {error.strerror or error}") from error
    with writing(path) as temporary, _parts_of(temporary) as folder:
        ranks.tell(str(folder.absolute()))
        written = _written(ranks, wanted.write(folder, path.suffix, own))
        _join(folder, temporary)
    return written


def _blocks(rows: np.ndarray, k: int, num_items: int) -> list[np.ndarray]:
    """Users whose rows of the table are written at once; they do not cut what is ranked at once."""
    ranked = users_at_once(num_items)
    users = -(-BLOCK_ROWS // max(k, 1) // ranked) * ranked
    return [rows[first : first + users] for first in range(0, max(len(rows), 1), users)]


def _written(ranks: Ranks, rows: int) -> int:
    """Rows of all processes, once they are all on the disk."""
    return int(ranks.sum_(torch.tensor([rows]), "rows"))


@dataclass(frozen=True)
class _Lists:
    """What is written of each user."""

    recommender: Recommender
    k: int
    rules: Rules | None
    texts: bool
    tracker: Tracker

    def write(self, folder: Path, suffix: str, blocks: Sequence[tuple[int, np.ndarray]]) -> int:
        """Write one file a block, named by its number; the first of a csv has the header.

        Returns:
            Rows written.
        """
        written = 0
        with self.tracker.task("ranking", sum(len(rows) for _, rows in blocks)) as task:
            for number, rows in blocks:
                frame, path = self._frame(rows, task), folder / f"{number:06}{suffix}"
                if suffix == ".parquet":
                    frame.write_parquet(path)
                elif suffix == ".csv":
                    _defused(frame).write_csv(path, include_header=number == 0)
                else:
                    frame.write_ndjson(path)
                written += len(frame)
        return written

    def _frame(self, rows: np.ndarray, task: Task) -> pl.DataFrame:
        """The table of some users."""
        k, parts = self.k, []
        nobody = (rows, np.empty((0, k), dtype=np.int64), np.empty((0, k), dtype=np.float32))
        for some, best, scores in self.recommender.blocks(rows, k, self.rules) if len(rows) else [nobody]:
            columns = {
                "user": self._users.gather(some.repeat(k)),
                "rank": pl.Series(np.tile(np.arange(1, k + 1, dtype=np.int32), len(some))),
                "item": self._items.gather(best.ravel()),
                "score": pl.Series(scores.ravel()),
            }
            if self._words is not None:
                columns["text"] = self._words.gather(best.ravel())
            parts.append(pl.DataFrame(columns).filter(pl.col("score").is_finite()))
            task.advance(len(some))
        return pl.concat(parts)

    @cached_property
    def _users(self) -> pl.Series:
        return pl.Series(self.recommender.run.users.ids, dtype=pl.String)

    @cached_property
    def _items(self) -> pl.Series:
        return pl.Series(self.recommender.run.items.ids, dtype=pl.String)

    @cached_property
    def _words(self) -> pl.Series | None:
        return pl.Series(self.recommender.run.texts, dtype=pl.String) if self.texts else None


@contextmanager
def _parts_of(path: Path) -> Iterator[Path]:
    """A folder beside a file for its parts, gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as folder:
        yield Path(folder)


def _join(folder: Path, path: Path) -> None:
    """Put the parts of a table into one file, in their order, without reading them whole."""
    parts = sorted(folder.iterdir())
    if len(parts) == 1:
        parts[0].replace(path)
    elif path.suffix == ".parquet":
        pl.scan_parquet(parts).sink_parquet(path)
    else:
        with path.open("wb") as file:
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, file, 2**20)
                part.unlink()


def _defused(frame: pl.DataFrame) -> pl.DataFrame:
    if "text" not in frame.columns:
        return frame
    text = pl.col("text")
    return frame.with_columns(
        pl.when(text.str.contains(_FORMULA)).then(pl.lit("'") + text).otherwise(text).alias("text")
    )
