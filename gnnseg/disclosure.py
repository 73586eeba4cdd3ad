"""Which groups are too small to be told of."""

from __future__ import annotations

import numpy as np

MIN_USERS = 10
"""Users below which nothing is told of a group, lest it tells of single users."""


def too_small(counts: np.ndarray, min_users: int = MIN_USERS) -> np.ndarray:
    """Which groups to hide, ``[G]`` bool: small ones, and enough others that none follows from a total.

    A single hidden group is the total minus what is shown; so while all that is hidden together has fewer
    than ``min_users``, the smallest group that would be shown is hidden, too (secondary suppression,
    Hundepool et al. 2012, "Statistical Disclosure Control"). Groups of nobody hide nothing.

    Args:
        counts: Users of each group, ``[G]``.
        min_users: Groups of fewer are small.
    """
    counts = np.asarray(counts)
    order = np.argsort(counts, kind="stable")
    order = order[counts[order] > 0]
    small = int((counts[order] < min_users).sum())
    while 0 < small < len(order) and counts[order[:small]].sum() < min_users:
        small += 1
    hidden = np.zeros(len(counts), dtype=bool)
    hidden[order[:small]] = True
    return hidden
