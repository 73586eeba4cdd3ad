"""Which interactions count: ratings, repeated pairs, users and items with too few."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, NonNegativeInt

from gnnseg.data.dataset import Dataset
from gnnseg.data.interactions import Interactions
from gnnseg.errors import DataError


class Filters(BaseModel):
    """What is kept of a dataset, applied in the order of the fields.

    Attributes:
        min_rating: Keep interactions rated at least this.
        duplicates: Of repeated pairs keep the last (by time, else by position), the first, or refuse.
        min_user_items: Keep users with at least this many different items ...
        min_item_users: ... and items with at least this many users, repeated until nothing changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_rating: float | None = None
    duplicates: Literal["last", "first", "error"] = "last"
    min_user_items: NonNegativeInt = 1
    min_item_users: NonNegativeInt = 1

    @property
    def drops_repeats_only(self) -> bool:
        """Whether all is kept of data without repeated pairs."""
        return self.min_rating is None and max(self.min_user_items, self.min_item_users) <= 1

    def apply(self, dataset: Dataset) -> Dataset:
        """The filtered dataset, rows renumbered.

        Raises:
            DataError: If nothing is left, or for repeated pairs where they are refused.
        """
        interactions = dataset.interactions
        kept, _ = self.sift(interactions)
        if not kept.any():
            raise self.nothing_left(dataset.name, len(interactions))
        return dataset.take(kept)

    def nothing_left(self, name: str, count: int) -> DataError:
        """What to raise if none of the ``count`` interactions is kept."""
        return DataError(
            f"the filters leave nothing of '{name}' ({count} interactions, min_rating {self.min_rating}, "
            f"min_user_items {self.min_user_items}, min_item_users {self.min_item_users}); lower them"
        )

    def check_columns(self, has_ratings: bool) -> None:
        """Refuse data that lack what a filter needs.

        Raises:
            DataError: If they do.
        """
        if self.min_rating is not None and not has_ratings:
            raise DataError("'min_rating' needs ratings, but this dataset has none; remove the filter")

    def check_repeated(self, count: int) -> None:
        """Refuse ``count`` interactions that repeat a pair, where they are an error.

        Raises:
            DataError: If they are, and there are any.
        """
        if self.duplicates == "error" and count:
            raise DataError(f"{count} repeated user-item pairs; set filters.duplicates to last or first")

    def sift(self, interactions: Interactions) -> tuple[np.ndarray, dict[str, int]]:
        """Mask ``[n]`` of what is kept, and how many interactions each filter drops after those before it.

        Raises:
            DataError: If ratings are needed and missing, or for repeated pairs where they are refused.
        """
        kept = np.ones(len(interactions), dtype=bool)
        dropped: dict[str, int] = {}
        self.check_columns(interactions.weights is not None)
        if self.min_rating is not None and interactions.weights is not None:
            kept &= interactions.weights >= self.min_rating
        dropped["min_rating"] = len(kept) - int(kept.sum())
        one_each = self._first_or_last(interactions, kept)
        dropped["duplicates"] = int(kept.sum() - one_each.sum())
        kept, by_users, by_items = _core(interactions, one_each, self.min_user_items, self.min_item_users)
        return kept, {**dropped, "min_user_items": by_users, "min_item_users": by_items}

    def _first_or_last(self, interactions: Interactions, kept: np.ndarray) -> np.ndarray:
        """Mask of one interaction for each pair among ``kept``."""
        times = interactions.times if interactions.times is not None else np.zeros(len(interactions))
        order = np.lexsort((times, interactions.items, interactions.users))
        order = order[kept[order]]
        chosen = self.one_each(interactions.users[order], interactions.items[order])
        self.check_repeated(int((~chosen).sum()))
        mask = np.zeros(len(interactions), dtype=bool)
        mask[order[chosen]] = True
        return mask

    def one_each(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Mask ``[m]`` of the first or last of equal pairs that stand side by side, all ``[m]``."""
        same = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
        edge = np.ones(1, dtype=bool)
        return np.concatenate([~same, edge] if self.duplicates == "last" else [edge, ~same])[: len(users)]


def _core(
    interactions: Interactions, kept: np.ndarray, min_user: int, min_item: int
) -> tuple[np.ndarray, int, int]:
    """The largest part of ``kept`` in which every user and item has enough, and what users and items drop."""
    users, items = interactions.users, interactions.items
    by_users, by_items = 0, 0
    if not len(users):
        return kept, by_users, by_items
    while True:
        enough_user = np.bincount(users[kept], minlength=int(users.max()) + 1) >= min_user
        enough_item = np.bincount(items[kept], minlength=int(items.max()) + 1) >= min_item
        active = kept & enough_user[users]
        smaller = active & enough_item[items]
        by_users += int(kept.sum() - active.sum())
        by_items += int(active.sum() - smaller.sum())
        if smaller.sum() == kept.sum():
            return smaller, by_users, by_items
        kept = smaller
