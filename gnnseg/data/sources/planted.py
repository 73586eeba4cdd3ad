"""A world whose groups are known, to see what finds them and what gains by them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
from annotated_types import Ge, Le

from gnnseg.components import NonNegativeFloat, NonNegativeInt, PositiveInt, Probability
from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IdMap, IntArray
from gnnseg.data.interactions import Interactions
from gnnseg.data.sources.base import Source
from gnnseg.errors import ConfigError
from gnnseg.seeding import numpy_rng

Share = Annotated[float, Ge(0), Le(1)]

CLUSTERS_OF_A_USER, NOWHERE = 2, -1

LEAST = 1e-12
"""Chance of an item that a user has no reason to draw, for where all others are taken."""

BLOCK = 2**22
"""Chances held at once: 32 MiB of float64."""


class Planted(Source):
    """Synthetic users in groups that differ in what is popular and in which items go together.

    Some items are marked: each is at home in one group, where it is ``exp(signal)`` times as likely as in the
    others. They make groups recoverable, and say nothing about the rest. The rest each group divides into
    clusters of its own, and a user draws from two of them: that makes one item-item model for everybody
    wrong, the more the larger ``contrast`` is, unless it knows the user's group. Without contrast all groups
    share one division, and segments have nothing to say about relations.

    The users' table has a column ``group`` with the truth, such as ``g0``; an item's tag is its home. Groups,
    homes and clusters are equally large, but for a remainder.

    Args:
        folder: Not used.
        num_users: ``U``.
        num_items: ``I``.
        num_groups: Of users.
        num_clusters: Of items, in each group's division.
        marked: Share of the items that are at home in a group, and about that of a user's interactions.
        signal: Log of how much likelier a marked item is at home.
        contrast: Share of the other items that each group clusters in its own way.
        outside: Share of their chances that does not depend on clusters.
        num_interactions: Different items of each user.
        seed: Of everything.

    Raises:
        ConfigError: If groups or clusters outnumber what they divide, or a user would need too many items.
    """

    def __init__(
        self,
        folder: Path,
        *,
        num_users: PositiveInt = 2000,
        num_items: PositiveInt = 200,
        num_groups: PositiveInt = 4,
        num_clusters: PositiveInt = 12,
        marked: Probability = 0.4,
        signal: NonNegativeFloat = 3.0,
        contrast: Share = 1.0,
        outside: Probability = 0.05,
        num_interactions: PositiveInt = 20,
        seed: NonNegativeInt = 0,
    ) -> None:
        super().__init__(folder)
        _at_most("num_groups", num_groups, "users and items", min(num_users, num_items))
        _at_most("num_clusters", num_clusters, "items", num_items)
        _at_most("num_interactions", num_interactions, "items", num_items)
        self.num_users = num_users
        self.num_items = num_items
        self.num_groups = num_groups
        self.num_clusters = num_clusters
        self.marked = marked
        self.signal = signal
        self.contrast = contrast
        self.outside = outside
        self.num_interactions = num_interactions
        self.seed = seed

    def load(self, name: str) -> Dataset:
        """Draw everything.

        Args:
            name: What the dataset is to be called.
        """
        rng = numpy_rng(self.seed, "planted")
        groups = _dealt(self.num_users, self.num_groups, rng)
        homes = _dealt(self.num_items, self.num_groups, rng)
        homes[rng.permutation(self.num_items)[round(self.marked * self.num_items) :]] = NOWHERE
        clusters = self._clusters(rng)
        pairs = self._draw(groups, homes, clusters, rng)
        users = np.repeat(np.arange(self.num_users), self.num_interactions)
        # items that nobody drew are no part of the data
        items, rows = np.unique(pairs.ravel(), return_inverse=True)
        return Dataset(
            name=name,
            interactions=Interactions(users.astype(np.int64), rows.astype(np.int64).reshape(-1)),
            users=IdMap((f"u{user}" for user in range(self.num_users)), "user"),
            items=IdMap((f"i{item}" for item in items), "item"),
            user_table=pl.DataFrame({"group": [f"g{group}" for group in groups]}),
            tags=tuple(() if homes[item] == NOWHERE else (f"g{homes[item]}",) for item in items),
        )

    def _clusters(self, rng: np.random.Generator) -> IntArray:
        """The cluster of each item in each group's division, ``[G, I]``."""
        shared = _dealt(self.num_items, self.num_clusters, rng)
        clusters = np.tile(shared, (self.num_groups, 1))
        moved = rng.permutation(self.num_items)[: round(self.contrast * self.num_items)]
        for row in clusters:
            row[moved] = row[rng.permutation(moved)]
        return clusters

    def _draw(
        self, groups: IntArray, homes: IntArray, clusters: IntArray, rng: np.random.Generator
    ) -> IntArray:
        """Different items of each user, ascending, ``[U, num_interactions]``."""
        chosen = np.stack(
            [rng.permutation(self.num_clusters)[:CLUSTERS_OF_A_USER] for _ in range(self.num_users)]
        )
        marked = homes != NOWHERE
        away = np.arange(self.num_groups)[:, None] != homes[marked]
        popular = np.exp(-self.signal * away)  # [G, marked]
        # as likely as the other items on the whole
        popular *= marked.sum() / np.maximum(popular.sum(1, keepdims=True), LEAST)
        drawn = []
        for some in np.array_split(np.arange(self.num_users), -(-self.num_users * self.num_items // BLOCK)):
            inside = (clusters[groups[some]][:, :, None] == chosen[some][:, None, :]).any(2)
            chance = (1 - self.outside) * inside / inside.mean(1, keepdims=True) + self.outside
            chance[:, marked] = popular[groups[some]]
            # the largest of log-chance plus Gumbel noise are a draw without replacement (arXiv 1903.06059)
            keys = np.log(np.maximum(chance, LEAST)) + rng.gumbel(size=chance.shape)
            drawn.append(np.sort(np.argsort(-keys, axis=1)[:, : self.num_interactions], axis=1))
        return np.concatenate(drawn)


def _dealt(count: int, parts: int, rng: np.random.Generator) -> IntArray:
    """A part for each of ``count``, equally large but for a remainder, at random, ``[count]``."""
    return rng.permutation(np.arange(count) % parts).astype(np.int64)


def _at_most(name: str, value: int, what: str, most: int) -> None:
    if value > most:
        raise ConfigError(f"Planted: '{name}' must be at most the number of {what} {most} (got {value})")
