"""Statistics of segments under differential privacy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from gnnseg.disclosure import MIN_USERS
from gnnseg.errors import ConfigError

Counts = np.ndarray

GUARANTEE = (
    "adding or removing one user with all interactions changes the probability of any output by a factor of "
    "at most exp(epsilon), for segments as they are: how segments were learned is not covered; each further "
    "release adds its own epsilon"
)


def geometric_noise(
    shape: tuple[int, ...], epsilon: float, sensitivity: int, rng: np.random.Generator
) -> Counts:
    """Two-sided geometric noise: whole numbers, ``P(x)`` proportional to ``exp(-epsilon |x| / sensitivity)``.

    Its shape is any shape that is asked for.

    It is Laplace noise (Dwork and Roth 2014, doi 10.1561/0400000042, definition 3.3) for counts (Ghosh et al.
    2009, arXiv 0811.2841), and free of what floating point gives away (Mironov 2012, doi
    10.1145/2382196.2382264).

    Args:
        shape: Of the counts.
        epsilon: Privacy loss.
        sensitivity: By how much one user changes all counts together, at most (L1).
        rng: Source of the noise.
    """
    stop = -math.expm1(-epsilon / sensitivity)
    return np.asarray(rng.geometric(stop, shape) - rng.geometric(stop, shape))


def noisy_segments(
    labels: np.ndarray,
    num_segments: int,
    train: sp.csr_matrix,
    tags: tuple[Sequence[str], sp.csr_matrix] | None,
    *,
    epsilon: float,
    clip: int = 3,
    min_users: int = MIN_USERS,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Sizes of segments, and how many of their users each tag is typical of, with ``epsilon`` spent in all.

    A user counts in one segment and for at most ``clip`` tags, those of most of the user's interactions; so a
    user changes sizes by 1 and tags by ``clip``. With tags each gets half of epsilon (composition, Dwork and
    Roth 2014, theorem 3.14). Shares and lifts are made of the noisy counts alone, which costs nothing (their
    proposition 2.1).

    Args:
        labels: Segment of each user, -1 for none, ``[U]``.
        num_segments: ``S``.
        train: Training interactions, ``[U, I]``.
        tags: Names of the tags, ``T``, and which item has which, ``[I, T]``; None without any.
        epsilon: Privacy loss of all of it together.
        clip: Tags that a user counts for, at most.
        min_users: Segments of fewer users, by the noisy count, are hidden.
        rng: Source of the noise; for a release not seeded, and used once.

    Returns:
        ``epsilon``, ``clip``, ``guarantee`` in words, ``within`` (how far counts are off at most in 95 of
        100), and ``segments``: ``segment``, ``users`` (None where hidden) and ``tags`` with ``name``,
        ``users``, ``share`` and ``lift`` against all segments, the largest lift first.

    Raises:
        ConfigError: If ``epsilon`` or ``clip`` is not positive.
    """
    if not (epsilon > 0 and math.isfinite(epsilon)):
        raise ConfigError(f"'epsilon' must be a positive number (got {epsilon})")
    if clip < 1:
        raise ConfigError(f"'clip' must be at least 1 (got {clip})")
    part = epsilon / 2 if tags is not None else epsilon
    counts = np.bincount(labels[labels >= 0], minlength=num_segments)
    sizes = np.maximum(counts + geometric_noise(counts.shape, part, 1, rng), 0)
    within = {"users": _within(part, 1)}
    typical = None
    if tags is not None:
        exact = _typical(labels, num_segments, train, tags[1], clip)
        typical = np.maximum(exact + geometric_noise(exact.shape, part, clip, rng), 0)
        within["tags"] = _within(part, clip)
    return {
        "epsilon": epsilon,
        "clip": clip,
        "guarantee": GUARANTEE,
        "within": within,
        "segments": [
            {
                "segment": s,
                "users": int(size) if size >= min_users else None,
                "tags": _lifts(s, sizes, typical, tags[0], min_users) if tags and size >= min_users else [],
            }
            for s, size in enumerate(sizes)
        ],
    }


def _typical(
    labels: np.ndarray, num_segments: int, train: sp.csr_matrix, tags: sp.csr_matrix, clip: int
) -> Counts:
    """Users of each segment by tag, ``[S, T]``; of each user only the ``clip`` most frequent tags count."""
    mass = (train.astype(bool).astype(np.float64) @ tags).tocsr()
    rows, columns = [], []
    for user in np.flatnonzero(labels >= 0):
        own = slice(mass.indptr[user], mass.indptr[user + 1])
        order = np.lexsort((mass.indices[own], -mass.data[own]))[:clip]
        columns.append(mass.indices[own][order])
        rows.append(np.full(len(order), labels[user]))
    found = np.zeros((num_segments, tags.shape[1]), dtype=np.int64)
    if rows:
        np.add.at(found, (np.concatenate(rows), np.concatenate(columns)), 1)
    return found


def _lifts(
    segment: int, sizes: Counts, typical: Counts | None, names: Sequence[str], min_users: int
) -> list[dict[str, Any]]:
    """Tags that are typical of enough users, from noisy counts alone."""
    if typical is None:
        return []
    overall = typical.sum(0) / max(1, int(sizes.sum()))
    shares = typical[segment] / max(1, int(sizes[segment]))
    found = [
        {
            "name": names[tag],
            "users": int(typical[segment, tag]),
            "share": float(min(1.0, shares[tag])),
            "lift": float(shares[tag] / overall[tag]),
        }
        for tag in np.flatnonzero(typical[segment] >= min_users).tolist()
    ]
    return sorted(found, key=lambda entry: (-entry["lift"], entry["name"]))


def _within(epsilon: float, sensitivity: int) -> int:
    """The least ``t`` with ``P(|noise| > t) <= 0.05``: ``2 a^(t + 1) / (1 + a)``, ``a = exp(-eps / s)``."""
    ratio = math.exp(-epsilon / sensitivity)
    return max(0, math.ceil(-math.log(0.05 * (1 + ratio) / 2) * sensitivity / epsilon - 1))
