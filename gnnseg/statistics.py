"""Intervals and paired tests over users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean, or another estimate, and its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The paired difference of two models over the same users.

    Attributes:
        difference: Mean of model minus baseline.
        relative: ``difference`` over the baseline's mean; NaN where that is zero.
        low: Lower end of the bootstrap interval of the difference.
        high: Upper end.
        p: Two-sided Wilcoxon signed-rank p-value; 1 where no user differs.
        users: Users compared.
    """

    difference: float
    relative: float
    low: float
    high: float
    p: float
    users: int


def bootstrap_means(values: Array, rng: np.random.Generator, resamples: int = RESAMPLES) -> Array:
    """Means of ``resamples`` samples with replacement of ``values [n]``, in memory linear in ``n``."""
    n = len(values)
    block = max(1, 4_000_000 // max(1, n))
    means = [
        values[rng.integers(n, size=(min(block, resamples - start), n), dtype=np.int32)].mean(1)
        for start in range(0, resamples, block)
    ]
    return np.concatenate(means)


def mean_interval(
    values: Array, rng: np.random.Generator, level: float = LEVEL, resamples: int = RESAMPLES
) -> Interval:
    """Percentile bootstrap interval of the mean of ``values [n]`` (Efron, doi 10.1214/aos/1176344552)."""
    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    low, high = np.quantile(bootstrap_means(values, rng, resamples), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values.mean()), float(low), float(high))


def normal_interval(values: Array, level: float = LEVEL) -> Interval:
    """Interval of the mean of ``values [n]`` by the normal distribution, which the bootstrap's tends to."""
    from scipy import special

    if not len(values):
        return Interval(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    half = float(special.ndtri((1 + level) / 2) * values.std() / len(values) ** 0.5)
    return Interval(mean, mean - half, mean + half)


def compare(model: Array, baseline: Array, rng: np.random.Generator, level: float = LEVEL) -> Comparison:
    """Compare two models user by user.

    Args:
        model: A metric of each user, ``[n]``.
        baseline: The same metric of the same users, ``[n]``.
        rng: Source of the resamples.
        level: Coverage of the interval.

    Returns:
        Difference, bootstrap interval and Wilcoxon signed-rank test (Wilcoxon 1945, doi 10.2307/3001968).
    """
    from scipy import stats

    differences = model - baseline
    interval = mean_interval(differences, rng, level)
    moved = bool(np.any(differences))
    p = float(stats.wilcoxon(differences, zero_method="wilcox", method="approx").pvalue) if moved else 1.0
    base = float(baseline.mean())
    relative = interval.mean / base if base else math.nan
    return Comparison(interval.mean, relative, interval.low, interval.high, p, len(differences))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of p-values for the number of tests (Holm 1979, jstor 4615733)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors))
    return [float(value) for value in adjusted]
