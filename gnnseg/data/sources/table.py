"""Interactions in a table, with optional tables of items and users."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import polars as pl

from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IdMap
from gnnseg.data.interactions import Interactions
from gnnseg.data.sources.base import Source
from gnnseg.data.sources.reading import align, epoch_seconds, finite_numbers, number_ids, read_table
from gnnseg.errors import ConfigError, DataError

MAX_TEXT = 2_000
"""Characters kept of an item's text; more than any encoder reads."""

_log = logging.getLogger(__name__)


class Table(Source):
    """A csv, tsv, jsonl or parquet file with one interaction a row.

    Args:
        folder: What the paths are relative to.
        interactions: File of interactions; csv, tsv and jsonl may be compressed (gz, zst).
        user: Column of user ids.
        item: Column of item ids.
        rating: Column of ratings or counts.
        time: Column of epoch seconds, epoch milliseconds or ISO 8601 times; without a zone they are UTC.
        items: File of items.
        item_id: Column of ``items`` that holds the item id; by default called as in ``interactions``.
        text: Columns of ``items`` that are joined into one text an item.
        tags: Column of ``items`` with labels separated by ``|``.
        users: File of users.
        user_key: Column of ``users`` that holds the user id; by default called as in ``interactions``.
        user_columns: Columns of ``users`` to keep; none means all.
        text_join: What joins the columns of a text.
        missing_ids: Whether a row of ``interactions`` without a user or an item is an error, or skipped.

    Raises:
        ConfigError: If ``text`` or ``tags`` is given without ``items``, or ``user_columns`` without
            ``users``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        interactions: str,
        user: str = "user",
        item: str = "item",
        rating: str | None = None,
        time: str | None = None,
        items: str | None = None,
        item_id: str | None = None,
        text: Sequence[str] = (),
        tags: str | None = None,
        users: str | None = None,
        user_key: str | None = None,
        user_columns: Sequence[str] = (),
        text_join: str = ". ",
        missing_ids: Literal["error", "skip"] = "error",
    ) -> None:
        super().__init__(folder)
        if items is None and (text or tags is not None):
            raise ConfigError("Table: 'text' and 'tags' name columns of 'items', which is missing")
        if users is None and user_columns:
            raise ConfigError("Table: 'user_columns' name columns of 'users', which is missing")
        self.interactions = folder / interactions
        self.user, self.item, self.rating, self.time = user, item, rating, time
        self.items = None if items is None else folder / items
        self.item_id, self.text, self.tags, self.text_join = item_id or item, list(text), tags, text_join
        self.users = None if users is None else folder / users
        self.user_key, self.user_columns = user_key or user, list(user_columns)
        self.missing_ids = missing_ids

    def load(self, name: str) -> Dataset:
        """Read the tables; users and items are numbered in the order of their ids as text.

        Args:
            name: What the dataset is to be called.

        Raises:
            DataError: If a file or column is missing or holds what it must not; rows are counted from 1.
        """
        path = self.interactions
        wanted = [c for c in (self.user, self.item, self.rating, self.time) if c is not None]
        frame = self._with_ids(read_table(path, wanted, text=[self.user, self.item]))
        if frame.is_empty():
            raise DataError(f"'{path}' has no rows")
        user_ids, user_rows = number_ids(frame, self.user, path)
        item_ids, item_rows = number_ids(frame, self.item, path)
        dataset = Dataset(
            name=name,
            interactions=Interactions(
                user_rows,
                item_rows,
                None if self.rating is None else finite_numbers(frame, self.rating, path),
                None if self.time is None else epoch_seconds(frame, self.time, path),
            ),
            users=IdMap(user_ids, "user"),
            items=IdMap(item_ids, "item"),
        )
        return self._with_users(self._with_items(dataset))

    def _with_ids(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows that name a user and an item, where others are to be skipped."""
        if self.missing_ids == "error":
            return frame
        named = frame.filter(pl.all_horizontal(pl.col(c).fill_null("") != "" for c in (self.user, self.item)))
        if skipped := len(frame) - len(named):
            _log.warning(
                "'%s': %d of %d rows name no user or no item; skipped", self.interactions, skipped, len(frame)
            )
        return named

    def _with_items(self, dataset: Dataset) -> Dataset:
        if self.items is None or not (self.text or self.tags):
            return dataset
        columns = [self.item_id, *self.text, *([self.tags] if self.tags else [])]
        items = _described(self.items, self.item_id, columns, dataset.items, "item_id")
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
        table = _described(self.users, self.user_key, columns, dataset.users, "user_key")
        return replace(
            dataset, user_table=table if self.user_key in self.user_columns else table.drop(self.user_key)
        )


def _described(path: Path, key: str, columns: Sequence[str], ids: IdMap, option: str) -> pl.DataFrame:
    """What a table knows of each id, one row an id in row order.

    Raises:
        DataError: If it cannot be read, or knows none of the ids.
    """
    frame = read_table(path, columns, text=[key, *(columns if option == "item_id" else ())])
    known = set(frame[key].to_list())
    missing = sum(name not in known for name in ids)
    if missing == len(ids):
        raise DataError(
            f"'{path}': column '{key}' has none of the {len(ids)} {ids.noun} ids (such as '{ids.ids[0]}'); "
            f"set '{option}' to the column that does"
        )
    if missing:
        _log.warning("'%s' does not describe %d of %d %ss", path, missing, len(ids), ids.noun)
    return align(frame, key, pl.Series(list(ids), dtype=pl.String))


def _joined(items: pl.DataFrame, columns: Sequence[str], join: str) -> tuple[str, ...]:
    parts = [items[column].fill_null("").to_list() for column in columns]
    return tuple(join.join(filter(None, row))[:MAX_TEXT] for row in zip(*parts, strict=True))


def _labels(column: pl.Series) -> tuple[tuple[str, ...], ...]:
    rows = column.fill_null("").to_list()
    return tuple(tuple(label for part in row.split("|") if (label := part.strip())) for row in rows)
