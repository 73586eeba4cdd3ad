"""Groups of users that a system may serve unequally, and how unequally it does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gnnseg.data import UserData
from gnnseg.disclosure import MIN_USERS, too_small
from gnnseg.statistics import Array, bootstrap_means, mean_interval

MAX_VALUES = 12
"""Different values of a column up to which each is a group; numbers with more become quarters."""

QUARTERS = (0.25, 0.5, 0.75)

RESAMPLES = 1_000

OTHERS = "others"


@dataclass(frozen=True)
class Grouping:
    """Users divided by one thing.

    Attributes:
        by: What divides them: ``segment``, ``activity`` or a column of the users' table.
        names: Of the groups, ``G``.
        labels: Group of each user, ``[n]``.
    """

    by: str
    names: tuple[str, ...]
    labels: np.ndarray

    def of(self, users: np.ndarray, min_users: int = MIN_USERS) -> Grouping:
        """The grouping of some users, small groups joined into one of ``others``.

        What is joined besides, so that none follows from the total, :func:`gnnseg.disclosure.too_small` says.

        Args:
            users: Rows, ``[m]``.
            min_users: Groups of fewer are small.
        """
        labels = self.labels[users]
        counts = np.bincount(labels, minlength=len(self.names))
        joined = too_small(counts, min_users)
        kept = np.flatnonzero(~joined & (counts > 0))
        new = np.full(len(self.names), len(kept))
        new[kept] = np.arange(len(kept))
        names = [self.names[group] for group in kept] + ([OTHERS] if joined.any() else [])
        return Grouping(self.by, tuple(names), new[labels])


def groupings(
    lengths: np.ndarray,
    users: UserData,
    segments: np.ndarray | None = None,
    segment_names: Sequence[str] = (),
) -> list[Grouping]:
    """All that users are divided by.

    Args:
        lengths: Training interactions of each user, ``[U]``.
        users: With the columns of the users' table; text with more than 12 values (names, post codes) would
            single people out and is left out.
        segments: Strongest segment of each user, -1 for none, ``[U]``; or None.
        segment_names: Names of the segments, ``S``.
    """
    found = [_quarters("activity", lengths.astype(np.float64))]
    if segments is not None:
        names = [f"{n} {name}".strip() for n, name in enumerate(segment_names)]
        found.insert(0, _named("segment", segments, names, "outside"))
    for name, values in users.columns.items():
        values = np.asarray(values)
        if len(values) == len(lengths):
            found += _column(name, values)
    return found


def _column(name: str, values: np.ndarray) -> list[Grouping]:
    """The groups of one column; none where it tells too much or nothing."""
    known = ~np.array([value is None or value != value for value in values], dtype=bool)  # NaN is not itself
    different = sorted({str(value) for value in values[known]})
    if 2 <= len(different) <= MAX_VALUES:
        place = {value: row for row, value in enumerate(different)}
        labels = [place[str(v)] if k else -1 for v, k in zip(values, known, strict=True)]
        return [_named(name, np.array(labels), different, "not known")]
    if len(different) > MAX_VALUES and np.issubdtype(values.dtype, np.number):
        return [_quarters(name, np.where(known, values, np.nan).astype(np.float64))]
    return []


def _named(by: str, labels: np.ndarray, names: Sequence[str], none: str) -> Grouping:
    return Grouping(by, (*names, none), np.where(labels < 0, len(names), labels))


def _quarters(by: str, values: Array) -> Grouping:
    """Quarters of the users, equal values never divided; names tell the borders, no one's own value."""
    known = ~np.isnan(values)
    edges = np.unique(np.quantile(values[known], QUARTERS)) if known.any() else np.empty(0)
    edges = edges[edges < values[known].max(initial=-np.inf)]
    names = [f"up to {edge:g}" for edge in edges[:1]]
    names += [f"above {low:g}, up to {high:g}" for low, high in pairwise(edges)]
    names += [f"above {edge:g}" for edge in edges[-1:]] or ["all"]
    labels = np.where(known, np.searchsorted(edges, values, side="left"), -1)
    return _named(by, labels, names, "not known")


def gap(grouping: Grouping, values: Array, rng: np.random.Generator) -> dict[str, Any] | None:
    """The mean of the best group minus that of the worst.

    The largest of several differences is above zero by chance alone; ``chance`` is what it is on average when
    users are shuffled among the groups, and ``p`` how often it is then as large (a permutation test, Fisher
    1935). The interval is a bootstrap over the users of both groups.

    Args:
        grouping: Of the users measured.
        values: A metric of each, ``[n]``.
        rng: Source of resamples and shuffles.

    Returns:
        ``best``, ``worst``, ``difference``, ``low``, ``high``, ``chance`` and ``p``; None with fewer than two
        groups.
    """
    if len(grouping.names) < 2:
        return None
    means = _means(grouping, values)
    best, worst = int(means.argmax()), int(means.argmin())
    inside = [bootstrap_means(values[grouping.labels == g], rng, RESAMPLES) for g in (best, worst)]
    low, high = np.quantile(inside[0] - inside[1], [0.025, 0.975])
    shuffled = [np.ptp(_means(grouping, rng.permutation(values))) for _ in range(RESAMPLES // 2)]
    difference = float(means[best] - means[worst])
    return {
        "best": grouping.names[best],
        "worst": grouping.names[worst],
        "difference": difference,
        "low": float(low),
        "high": float(high),
        "chance": float(np.mean(shuffled)),
        "p": float((1 + np.sum(np.asarray(shuffled) >= difference - 1e-12)) / (1 + len(shuffled))),
    }


def _means(grouping: Grouping, values: Array) -> Array:
    size = len(grouping.names)
    totals = np.bincount(grouping.labels, weights=values, minlength=size)
    return np.asarray(totals / np.bincount(grouping.labels, minlength=size))


def interval(values: Array, rng: np.random.Generator) -> dict[str, float]:
    """``mean``, ``low`` and ``high`` of ``[n]`` users' values: 95 % bootstrap over users."""
    found = mean_interval(values, rng, resamples=RESAMPLES)
    return {"mean": found.mean, "low": found.low, "high": found.high}
