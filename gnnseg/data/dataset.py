"""A dataset: interactions, outside ids and what is known of items and users."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from gnnseg.data.ids import IdMap, IntArray
from gnnseg.data.interactions import Interactions


@dataclass(frozen=True)
class Dataset:
    """Interactions between users and items with their outside ids.

    Attributes:
        name: What tables and file names call it.
        interactions: All pairs, ``[n]``.
        users: Outside ids of users in row order.
        items: Outside ids of items in row order.
        texts: One text an item, or None.
        titles: A short name for each item, or None.
        given_test: Mask ``[n]`` of pairs that the source itself keeps for testing, or None.
        user_table: One row a user in row order, or None.
        tags: For each item its labels (genres), or None; used to describe segments.
    """

    name: str
    interactions: Interactions
    users: IdMap
    items: IdMap
    texts: tuple[str, ...] | None = None
    titles: tuple[str, ...] | None = None
    given_test: np.ndarray | None = None
    user_table: pl.DataFrame | None = None
    tags: tuple[tuple[str, ...], ...] | None = None

    @property
    def num_users(self) -> int:
        """Number of users, ``U``."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """Number of items, ``I``."""
        return len(self.items)

    @property
    def item_names(self) -> tuple[str, ...]:
        """What to call each item: its title, or its outside id where it has none."""
        if self.titles is None:
            return self.items.ids
        return tuple(title or name for title, name in zip(self.titles, self.items.ids, strict=True))

    @property
    def density(self) -> float:
        """Share of all user-item pairs that occur."""
        return len(self.interactions) / max(1, self.num_users * self.num_items)

    @cached_property
    def digest(self) -> str:
        """``sha256:...`` over ids, pairs, ratings, times and texts."""
        parts: list[bytes] = ["\n".join(self.users).encode(), "\n".join(self.items).encode()]
        i = self.interactions
        columns = (i.users, i.items, i.weights, i.times, self.given_test)
        parts += [b"-" if c is None else np.ascontiguousarray(c).tobytes() for c in columns]
        parts.append("\n".join(self.texts).encode() if self.texts is not None else b"-")
        sha = hashlib.sha256()
        for part in parts:
            sha.update(len(part).to_bytes(8, "little"))
            sha.update(part)
        return f"sha256:{sha.hexdigest()}"

    def take(self, kept: np.ndarray) -> Dataset:
        """The dataset with the interactions in mask ``kept``; users and items without any are dropped."""
        rows = self.interactions[kept]
        users, user_rows = np.unique(rows.users, return_inverse=True)
        items, item_rows = np.unique(rows.items, return_inverse=True)
        return replace(
            self.narrowed(users, items),
            interactions=replace(rows, users=_int64(user_rows), items=_int64(item_rows)),
            given_test=None if self.given_test is None else self.given_test[kept],
        )

    def narrowed(self, users: IntArray, items: IntArray) -> Dataset:
        """The dataset with the ids of some users and items and what is known of them; pairs stay as they are.

        Args:
            users: Rows, ascending.
            items: Rows, ascending.
        """
        return replace(
            self,
            users=self.users.take(users),
            items=self.items.take(items),
            texts=None if self.texts is None else tuple(self.texts[i] for i in items),
            titles=None if self.titles is None else tuple(self.titles[i] for i in items),
            tags=None if self.tags is None else tuple(self.tags[i] for i in items),
            user_table=None if self.user_table is None else self.user_table[users],
        )


def _int64(values: np.ndarray) -> IntArray:
    return values.astype(np.int64).reshape(-1)
