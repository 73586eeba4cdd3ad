"""What is in a dataset before and after its filters, and what is wrong with its tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from gnnseg.data.dataset import Dataset
from gnnseg.data.filters import Filters
from gnnseg.data.ids import IntArray
from gnnseg.data.sources.problems import Problems


def sizes(dataset: Dataset) -> dict[str, int]:
    """Numbers of users, items and interactions."""
    return {
        "users": dataset.num_users,
        "items": dataset.num_items,
        "interactions": len(dataset.interactions),
    }


def activity(counts: IntArray) -> dict[str, float]:
    """Least, median and most interactions of ``[m]`` users or items."""
    return {"min": int(counts.min()), "median": float(np.median(counts)), "max": int(counts.max())}


def histogram(counts: IntArray) -> dict[str, int]:
    """How many have 1, 2, 3 to 4, 5 to 8, ... interactions, up to the most.

    Args:
        counts: Interactions of each user or item, at least 1, ``[m]``.
    """
    places = np.ceil(np.log2(counts)).astype(np.int64)  # exact, as log2 of a power of two is
    heights = np.bincount(places)
    bounds = [(2**place // 2 + 1, 2**place) for place in range(len(heights))]
    names = [str(high) if low >= high else f"{low}-{high}" for low, high in bounds]
    return {name: int(height) for name, height in zip(names, heights, strict=True)}


def repeated_pairs(dataset: Dataset) -> int:
    """Interactions that repeat the pair of another."""
    pairs = dataset.interactions.users * np.int64(dataset.num_items) + dataset.interactions.items
    return len(pairs) - len(np.unique(pairs))


def examine(raw: Dataset, filters: Filters, problems: Problems) -> dict[str, Any]:
    """Everything that the tables themselves tell of a dataset.

    Args:
        raw: As its source reads it.
        filters: What is to be kept.
        problems: What the source found wrong.

    Raises:
        DataError: If the filters refuse the data.
    """
    interactions = raw.interactions
    texts = None if raw.texts is None else sum(not text for text in raw.texts)
    return {
        "repeated_pairs": repeated_pairs(raw),
        "items_without_text_read": texts,
        "users_by_interactions": histogram(np.bincount(interactions.users)),
        "items_by_interactions": histogram(np.bincount(interactions.items)),
        "dropped_by_filter": filters.sift(interactions)[1],
        "unmatched_ids": problems.unmatched,
        "bad_rows": {"total": problems.total, "kinds": [asdict(bad) for bad in problems.bad_rows.values()]},
    }
