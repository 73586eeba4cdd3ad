"""What tables of any origin have in common: interactions, and what else is known of items and users."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import polars as pl

from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IdMap
from gnnseg.data.sources.base import Source
from gnnseg.data.sources.gathering import Columns, Gathering
from gnnseg.data.sources.parts import Part
from gnnseg.data.sources.problems import OnBadRows, Problems
from gnnseg.data.sources.reading import align, as_text
from gnnseg.errors import ConfigError, DataError

MAX_TEXT = 2_000
"""Characters kept of an item's text; more than any encoder reads."""

_log = logging.getLogger(__name__)


class Tables(Source):
    """A table with one interaction a row, and optional tables of items and users.

    Users and items are numbered in the order of their ids as text. An id is text; ``1``, ``1.0`` as a number
    and ``"1"`` are the same.

    Args:
        folder: What paths are relative to.
        user: Column of user ids.
        item: Column of item ids.
        rating: Column of ratings or counts.
        time: Column of epoch seconds, epoch milliseconds or ISO 8601 times; without a zone they are UTC.
        item_id: Column of the items' table that holds the item id; by default called as in the interactions.
        text: Columns of the items' table that are joined into one text an item.
        tags: Column of the items' table with labels separated by ``|``.
        user_key: Column of the users' table that holds the user id; by default called as in the interactions.
        user_columns: Columns of the users' table to keep; none means all.
        text_join: What joins the columns of a text.
        on_bad_rows: Whether an interaction without a user or an item, or with a rating or time that is none,
            or a row that cannot be parsed is an error, or skipped.

    Raises:
        ConfigError: If columns are named of a table that is missing.
    """

    interactions: str
    items: str | None
    users: str | None

    def __init__(
        self,
        folder: Path,
        *,
        user: str = "user",
        item: str = "item",
        rating: str | None = None,
        time: str | None = None,
        item_id: str | None = None,
        text: Sequence[str] = (),
        tags: str | None = None,
        user_key: str | None = None,
        user_columns: Sequence[str] = (),
        text_join: str = ". ",
        on_bad_rows: OnBadRows = "error",
    ) -> None:
        super().__init__(folder)
        kind = type(self).__name__
        if self.items is None and (text or tags is not None):
            raise ConfigError(f"{kind}: 'text' and 'tags' name columns of 'items', which is missing")
        if self.users is None and user_columns:
            raise ConfigError(f"{kind}: 'user_columns' name columns of 'users', which is missing")
        self.columns = Columns(user, item, rating, time)
        self.item_id, self.text, self.tags, self.text_join = item_id or item, list(text), tags, text_join
        self.user_key, self.user_columns = user_key or user, list(user_columns)
        self.problems = Problems(on_bad_rows)

    @abstractmethod
    def parts(self, table: str, columns: Sequence[str], stack: ExitStack) -> list[Part]:
        """The table ``interactions``, ``items`` or ``users``, not read yet.

        Args:
            table: Which.
            columns: Which columns it must have.
            stack: What holds files that are needed until the table is read.

        Raises:
            DataError: If it cannot be read or lacks a column.
        """

    def files(self) -> list[Path]:
        """The files that are read, if they are files."""
        return []

    @abstractmethod
    def title(self, table: str) -> str:
        """What messages call a table."""

    def load(self, name: str) -> Dataset:
        """Read the tables.

        Args:
            name: What the dataset is to be called.

        Raises:
            DataError: If a file or column is missing or holds what it must not; rows are counted from 1.
        """
        found = Gathering(self.columns, self.problems)
        self.gather(found)
        interactions, user_ids, item_ids = found.finish()
        return self.described(Dataset(name, interactions, IdMap(user_ids, "user"), IdMap(item_ids, "item")))

    def gather(self, found: Gathering) -> None:
        """Read all interactions.

        Args:
            found: Told of them.

        Raises:
            DataError: As for ``load``.
        """
        with ExitStack() as stack:
            rows = found.read(self.parts("interactions", self.columns.present, stack))
        title = self.title("interactions")
        if not rows:
            bad = f"no row that is good; {self.problems.message}" if self.problems.total else "no rows"
            raise DataError(f"{title} has {bad}")
        if self.problems.total:
            seen = found.seen + self._unparsed
            _log.warning(
                "%s: %d of %d rows skipped: %s", title, self.problems.total, seen, self.problems.counts()
            )

    def described(self, dataset: Dataset) -> Dataset:
        """A dataset with what the other tables say of its items and users.

        Raises:
            DataError: As for ``load``.
        """
        return self._with_users(self._with_items(dataset))

    @property
    def _unparsed(self) -> int:
        """Bad rows that the gathering never saw."""
        return sum(b.total for b in self.problems.bad_rows.values() if b.first and "line" in b.first[0])

    def _with_items(self, dataset: Dataset) -> Dataset:
        if self.items is None or not (self.text or self.tags):
            return dataset
        columns = [self.item_id, *self.text, *([self.tags] if self.tags else [])]
        items = self._described("items", self.item_id, columns, dataset.items)
        return replace(
            dataset,
            texts=_joined(items, self.text, self.text_join) if self.text else None,
            titles=tuple(items[self.text[0]].fill_null("").to_list()) if self.text else None,
            tags=_labels(items[self.tags]) if self.tags else None,
        )

    def _with_users(self, dataset: Dataset) -> Dataset:
        if self.users is None:
            return dataset
        columns = [self.user_key, *self.user_columns] if self.user_columns else []
        table = self._described("users", self.user_key, columns, dataset.users)
        kept = table if self.user_key in self.user_columns else table.drop(self.user_key)
        return replace(dataset, user_table=kept)

    def _described(self, table: str, key: str, columns: Sequence[str], ids: IdMap) -> pl.DataFrame:
        """What a table knows of each id, one row an id in row order.

        Raises:
            DataError: If it cannot be read, or knows none of the ids.
        """
        with ExitStack() as stack:
            parts = self.parts(table, columns or [key], stack)
            frame = pl.concat([_first_rows(part, key, columns) for part in parts], how="vertical_relaxed")
        title, option = self.title(table), "item_id" if table == "items" else "user_key"
        described = set(frame[key].to_list()) - {""}
        missing = [name for name in ids if name not in described]
        if len(missing) == len(ids):
            raise DataError(
                f"{title}: column '{key}' has none of the {len(ids)} {ids.noun} ids (such as "
                f"'{ids.ids[0]}'); set '{option}' to the column that does"
            )
        if missing:
            _log.warning("%s does not describe %d of %d %ss", title, len(missing), len(ids), ids.noun)
        self.problems.add_unmatched(title, f"{ids.noun} ids that it lacks", missing)
        others = sorted(name for name in described if name not in ids)
        self.problems.add_unmatched(title, f"{ids.noun} ids without interactions", others)
        return align(frame, key, pl.Series(list(ids), dtype=pl.String))


def _first_rows(part: Part, key: str, columns: Sequence[str]) -> pl.DataFrame:
    """The first row of each id: the columns, or all of them, and every text on one line."""
    schema = part.rows.collect_schema()
    names = dict.fromkeys(columns or schema.names())
    texts = [n for n in names if n == key or schema[n] == pl.String]
    return part.described([as_text(n, schema[n], part.name) if n in texts else pl.col(n) for n in names], key)


def _joined(items: pl.DataFrame, columns: Sequence[str], join: str) -> tuple[str, ...]:
    parts = [items[column].fill_null("").to_list() for column in columns]
    return tuple(join.join(filter(None, row))[:MAX_TEXT] for row in zip(*parts, strict=True))


def _labels(column: pl.Series) -> tuple[tuple[str, ...], ...]:
    rows = column.fill_null("").to_list()
    return tuple(tuple(label for part in row.split("|") if (label := part.strip())) for row in rows)
