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

    def apply(self, dataset: Dataset) -> Dataset:
        """The filtered dataset, rows renumbered.

        Raises:
            DataError: If nothing is left, or for repeated pairs where they are refused.
        """
        interactions = dataset.interactions
        kept, _ = self.sift(interactions)
        if not kept.any():
            raise DataError(
                f"the filters leave nothing of '{dataset.name}' ({len(interactions)} interactions, "
                f"min_rating {self.min_rating}, min_user_items {self.min_user_items}, "
                f"min_item_users {self.min_item_users}); lower them"
            )
        return dataset.take(kept)

    def sift(self, interactions: Interactions) -> tuple[np.ndarray, dict[str, int]]:
        """Mask ``[n]`` of what is kept, and how many interactions each filter drops after those before it.

        Raises:
            DataError: If ratings are needed and missing, or for repeated pairs where they are refused.
        """
        kept = np.ones(len(interactions), dtype=bool)
        dropped: dict[str, int] = {}
        if self.min_rating is not None:
            if interactions.weights is None:
                raise DataError("'min_rating' needs ratings, but this dataset has none; remove the filter")
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
        users, items = interactions.users[order], interactions.items[order]
        same = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
        if self.duplicates == "error" and same.any():
            raise DataError(
                f"{int(same.sum())} repeated user-item pairs; set filters.duplicates to last or first"
            )
        edge = np.ones(1, dtype=bool)
        chosen = np.concatenate([~same, edge] if self.duplicates == "last" else [edge, ~same])
        mask = np.zeros(len(interactions), dtype=bool)
        mask[order[chosen[: len(order)]]] = True
        return mask


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
