"""Who is served how well, and which items are shown, from lists that were ranked anyway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from gnnseg.disclosure import MIN_USERS
from gnnseg.errors import ConfigError
from gnnseg.evaluation import Evaluation
from gnnseg.fairness.exposure import exposure, miscalibration, popularity_bins, popularity_lift
from gnnseg.fairness.groups import Grouping, gap, groupings, interval
from gnnseg.prepared import Prepared
from gnnseg.seeding import numpy_rng
from gnnseg.segments.traits import tag_matrix
from gnnseg.statistics import Array

__all__ = [
    "Grouping",
    "exposure",
    "fairness",
    "gap",
    "groupings",
    "miscalibration",
    "popularity_bins",
    "popularity_lift",
]


def fairness(
    found: Evaluation,
    data: Prepared,
    metric: str,
    segments: np.ndarray | None = None,
    segment_names: Sequence[str] = (),
    min_users: int = MIN_USERS,
) -> dict[str, Any]:
    """Gaps between groups of users, exposure of items and calibration of tags.

    Args:
        found: Metrics and lists of the users with held-out items.
        data: What was ranked; groups, popularity and tags are those of training.
        metric: What groups are compared by, one that ``found`` has.
        segments: Strongest segment of each user, -1 for none, ``[U]``; or None.
        segment_names: Names of the segments, ``S``.
        min_users: Groups of fewer measured users are joined into ``others``.

    Returns:
        Content of ``fairness.json``: ``metric``, ``k`` (length of the lists), ``users``, ``groups`` (for each
        thing that divides users into at least two groups its ``gap`` and ``groups``), ``exposure``,
        ``popularity_lift`` and ``calibration`` (None without tags).

    Raises:
        ConfigError: If ``found`` has no such metric, or no lists.
    """
    if metric not in found.per_user or found.items is None:
        raise ConfigError(f"'metric' must be one that was measured with lists (got {metric!r})")
    values, popularity = found.per_user[metric], data.popularity
    history = data.train[found.users]
    named = tag_matrix(data.dataset.tags)
    wrong = None if named is None else miscalibration(found.items, history, named[1])
    measured = _Measured(values, found.items, history, popularity, wrong)
    by = groupings(np.diff(data.train.indptr), data.users, segments, segment_names)
    groups = [measured.of(grouping.of(found.users, min_users)) for grouping in by]
    return {
        "format": 1,
        "metric": metric,
        "k": found.items.shape[1],
        "users": len(found.users),
        "min_users": min_users,
        "groups": [g for g in groups if len(g["groups"]) > 1],
        "exposure": exposure(found.items, popularity),
        "popularity_lift": popularity_lift(found.items, history, popularity),
        "calibration": None if named is None else _calibration(found.items, history, named[1], wrong),
    }


class _Measured:
    """What is known of each measured user, to be told by group."""

    def __init__(
        self,
        values: Array,
        items: np.ndarray,
        history: sp.csr_matrix,
        popularity: np.ndarray,
        wrong: Array | None,
    ) -> None:
        self.values, self.items, self.history = values, items, history
        self.popularity, self.wrong = popularity, wrong

    def of(self, grouping: Grouping) -> dict[str, Any]:
        """One entry of ``groups``."""
        rng = numpy_rng(0, f"fairness by {grouping.by}")
        rows = [
            {"name": name, **self._group(grouping.labels == number, rng)}
            for number, name in enumerate(grouping.names)
        ]
        return {"by": grouping.by, "gap": gap(grouping, self.values, rng), "groups": rows}

    def _group(self, inside: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
        items = self.items[inside]
        about: dict[str, Any] = {
            "users": int(inside.sum()),
            "metric": interval(self.values[inside], rng),
            "coverage": len(np.unique(items[items >= 0])) / len(self.popularity),
            "popularity_lift": popularity_lift(items, self.history[inside], self.popularity),
        }
        if self.wrong is not None:
            known = self.wrong[inside]
            about["miscalibration"] = interval(known[~np.isnan(known)], rng)
        return about


def _calibration(
    items: np.ndarray, history: sp.csr_matrix, tags: sp.csr_matrix, wrong: Array | None
) -> dict[str, Any]:
    """Miscalibration of the lists, and beside it that of lists given to the wrong users."""
    rng = numpy_rng(0, "calibration")
    own = np.empty(0) if wrong is None else wrong[~np.isnan(wrong)]
    other = miscalibration(rng.permutation(items), history, tags)
    return {
        **interval(own, rng),
        "users": len(own),
        "shuffled": float(np.nanmean(other)) if len(own) else None,
    }
