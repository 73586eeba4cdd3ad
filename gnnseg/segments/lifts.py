"""What the users of a segment have more or less often than others, and whether that is chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import strongest
from gnnseg.segments.differences import check_memberships
from gnnseg.statistics import Array

PRIOR = 20.0
"""Pseudo-interactions that shrink the lift of rare items towards 1."""

BLOCK = 2**24
"""Entries of users x traits that are held at once."""


@dataclass(frozen=True, slots=True)
class Lifts:
    """Lift of items, tags or words in each segment.

    Attributes:
        names: What to call each, ``F`` names.
        lift: Share of the segment's interactions over the share of all, shrunk towards 1, ``[S, F]``.
        more: Whether a larger share of the segment's users than of all users favours it, ``[S, F]``.
        p: Two-sided p-value over users, 1 where not tested, ``[S, F]``.
        q: ``p`` adjusted for all tests made (Benjamini and Hochberg 1995), ``[S, F]``.
    """

    names: Sequence[str]
    lift: Array
    more: np.ndarray
    p: Array
    q: Array

    def liked(self, segment: int, level: float, top: int) -> list[dict[str, Any]]:
        """The most lifted with a false discovery rate of at most ``level``: name, lift and q."""
        return self._named(segment, self.more[segment] & (self.lift[segment] > 1), level, top, sign=-1)

    def avoided(self, segment: int, level: float, top: int) -> list[dict[str, Any]]:
        """As :meth:`liked`, the least lifted."""
        return self._named(segment, ~self.more[segment] & (self.lift[segment] < 1), level, top, sign=1)

    def _named(
        self, segment: int, chosen: np.ndarray, level: float, top: int, sign: int
    ) -> list[dict[str, Any]]:
        lift, q = self.lift[segment], self.q[segment]
        order = [i for i in np.argsort(sign * lift, kind="stable") if chosen[i] and q[i] <= level]
        return [
            {"name": self.names[i], "lift": round(float(lift[i]), 3), "q": float(f"{q[i]:.3g}")}
            for i in order[:top]
        ]


def lifts(
    graph: BipartiteGraph,
    memberships: np.ndarray,
    names: Sequence[str],
    traits: sp.csr_matrix | None = None,
    min_users: int = 10,
) -> Lifts:
    """Lift of every item, or of every trait of items, in every segment.

    The lift counts interactions, a user by its membership. Interactions of one user are not independent, so
    the tests count users by their strongest segment: of those who favour it, how many are in the segment
    against a hypergeometric draw (Fisher's exact test, the smaller tail doubled). A user favours an item that
    it has, and a trait of which it has a larger share than the median user has, or at least as large a one
    where that divides users more evenly (Mood's median test): active users have no greater chance to favour
    a trait. What fewer than ``min_users`` users favour, and segments of fewer users, are not tested.

    Args:
        graph: The training graph.
        memberships: ``[U, S]``; rows sum to one, or to zero for users outside every segment.
        names: What to call each item or trait.
        traits: Which item has which, ``[I, F]`` of ones, or None for the items themselves.
        min_users: Fewest users that a test is made of.

    Raises:
        ConfigError: If memberships do not fit the graph.
    """
    from scipy import stats

    check_memberships(graph, memberships)
    matrix = graph.biadjacency()
    weights = np.asarray(matrix.T @ memberships, dtype=np.float64).T
    overall = np.asarray(matrix.sum(0), dtype=np.float64).ravel()
    segment_of = one_hot(strongest(memberships), memberships.shape[1])
    if traits is None:
        favour, total = (matrix.T @ segment_of).T, matrix.getnnz(axis=0)
    else:
        weights, overall = weights @ traits, overall @ traits
        favour, total = _favour(matrix, segment_of, traits)
    inside = segment_of.sum(0)[:, None]
    tested = (total >= min_users) & (inside >= min_users)
    found, marked, drawn = (part[tested] for part in np.broadcast_arrays(favour, total, inside))
    p, q = np.ones(favour.shape), np.ones(favour.shape)
    if tested.any():
        p[tested] = hypergeometric(found, marked, drawn, graph.num_users)
        q[tested] = stats.false_discovery_control(p[tested])
    more = favour * graph.num_users > total * inside
    return Lifts(names, _lift(weights, overall), more, p, q)


def hypergeometric(found: np.ndarray, marked: np.ndarray, drawn: np.ndarray, size: int) -> Array:
    """Two-sided p-values of draws without replacement, the smaller tail doubled, ``[n]``.

    Tails are summed from the observed count outwards, in units of its own probability, until what is left
    is too small to matter: as exact as SciPy's ``hypergeom`` and, for many tests at once, much faster.

    Args:
        found: Marked among the drawn, ``[n]``.
        marked: Marked among all, ``[n]``.
        drawn: How many are drawn, ``[n]``.
        size: How many there are.
    """
    found, marked, drawn = (np.asarray(part, dtype=np.float64) for part in (found, marked, drawn))
    below = found * size < marked * drawn
    # few marked among the drawn are many unmarked ones, so one tail will do
    found, marked = np.where(below, drawn - found, found), np.where(below, size - marked, marked)
    return np.minimum(1, 2 * _upper_tail(found, marked, drawn, size))


def _upper_tail(found: Array, marked: Array, drawn: Array, size: int) -> Array:
    """Probability of ``found`` or more, which must be at least what is expected."""
    from scipy.special import betaln

    def log_choose(n: Any, k: Any) -> Any:
        return -betaln(n - k + 1, k + 1) - np.log(n + 1)

    log_p = log_choose(marked, found) + log_choose(size - marked, drawn - found) - log_choose(size, drawn)
    term, series = np.ones(len(found)), np.ones(len(found))
    active, found = np.arange(len(found)), found.copy()
    while len(active):
        k, m, d = found[active], marked[active], drawn[active]
        term[active] *= (m - k) * (d - k) / ((k + 1) * (size - m - d + k + 1))
        series[active] += term[active]
        found[active] += 1
        active = active[term[active] > 1e-14 * series[active]]
    return np.asarray(np.exp(log_p) * series)


def _favour(matrix: sp.csr_matrix, segment_of: Array, traits: sp.csr_matrix) -> tuple[Array, Array]:
    """Users of each segment ``[S, F]`` and of all ``[F]`` whose share of a trait is large."""
    links = np.maximum(matrix.getnnz(axis=1), 1)[:, None]
    columns, width = traits.tocsc(), max(1, BLOCK // len(links))
    inside, total = [], []
    for start in range(0, columns.shape[1], width):
        share = (matrix @ columns[:, start : start + width]).toarray() / links
        median = np.median(share, axis=0)
        above, least = share > median, share >= median
        evenly = np.abs([above.mean(0) - 0.5, least.mean(0) - 0.5]).argmin(0)
        above = np.where(evenly, least, above).astype(np.float64)
        inside.append(segment_of.T @ above)
        total.append(above.sum(0))
    return np.concatenate(inside, axis=1), np.concatenate(total)


def _lift(inside: Array, overall: Array) -> Array:
    """``[S, F]`` and ``[F]`` interactions to lifts ``[S, F]``."""
    share = inside.sum(1, keepdims=True) / max(float(overall.sum()), 1e-12)
    return np.asarray((inside + PRIOR) / (overall * share + PRIOR))


def one_hot(labels: np.ndarray, size: int) -> Array:
    """``[U, S]`` of ones, rows of label -1 are zero."""
    return np.asarray(np.eye(size + 1)[labels][:, :size])
