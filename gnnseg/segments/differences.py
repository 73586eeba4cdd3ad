"""How far the tastes of segments lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import scipy.sparse as sp

from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph
from gnnseg.segments.traits import tag_matrix, tfidf, word_matrix
from gnnseg.statistics import Array

PERMUTATIONS = 99


@dataclass(frozen=True, slots=True)
class Divergence:
    """Jensen-Shannon divergences of segments, base 2, 0 (the same) to 1 (nothing in common).

    Small segments lie far from everything by chance alone, so that a divergence means something only beside
    what memberships shuffled among the users give. What involves a segment without interactions is NaN.

    Attributes:
        pairs: Between two segments, ``[S, S]``.
        rest: Between a segment and all that is not in it, ``[S]``.
        chance_pairs: Mean of ``pairs`` under shuffled memberships.
        chance_rest: Mean of ``rest`` under shuffled memberships.
        p_pairs: Share of shuffles that are as far apart, the observed one among them; 1 on the diagonal.
        p_rest: The same of ``rest``.
    """

    pairs: Array
    rest: Array
    chance_pairs: Array
    chance_rest: Array
    p_pairs: Array
    p_rest: Array

    def as_dict(self) -> dict[str, Any]:
        """For JSON: lists, four decimals, None where NaN."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def differences(
    graph: BipartiteGraph,
    memberships: np.ndarray,
    tags: Sequence[Sequence[str]] | None = None,
    texts: Sequence[str] | None = None,
    *,
    rng: np.random.Generator,
    permutations: int = PERMUTATIONS,
) -> dict[str, Divergence]:
    """How far segments lie apart in items, and in tags and words where there are any.

    A segment's distribution over items is that of its interactions, a user counting by its membership; over
    tags each interaction counts for every tag of its item, over words by TF-IDF weights that sum to one.
    The divergence is that of Lin (1991, doi 10.1109/18.61115). Shuffles permute memberships among users, so
    that sizes and overlaps stay; p-values are never 0 (Phipson and Smyth 2010, doi 10.2202/1544-6115.1585).

    Args:
        graph: The training graph.
        memberships: ``[U, S]``; rows sum to one, or to zero for users outside every segment.
        tags: Labels of each item (genres), or None.
        texts: A text of each item, or None.
        rng: Source of the shuffles.
        permutations: Shuffles.

    Returns:
        A divergence for ``items``, ``tags`` and ``words``; what is not there is left out.

    Raises:
        ConfigError: If memberships do not fit the graph, or ``permutations`` is not positive.
    """
    check_memberships(graph, memberships)
    if permutations < 1:
        raise ConfigError(f"'permutations' must be positive (got {permutations})")
    named = {"tags": tag_matrix(tags), "words": word_matrix(texts)}
    traits: dict[str, sp.csr_matrix | None] = {"items": None}
    traits |= {kind: found[1] for kind, found in named.items() if found is not None}
    if "words" in traits:
        traits["words"] = tfidf(traits["words"])
    items = graph.biadjacency().T.tocsr()  # float64 is what memberships bring
    observed = _measure(items, memberships, traits)
    sums = {kind: np.zeros_like(found) for kind, found in observed.items()}
    reached = {kind: np.ones_like(found) for kind, found in observed.items()}
    for _ in range(permutations):
        for kind, found in _measure(items, rng.permutation(memberships), traits).items():
            sums[kind] += found
            reached[kind] += found >= observed[kind] - 1e-12
    return {
        kind: _divergence(found, sums[kind] / permutations, reached[kind] / (permutations + 1))
        for kind, found in observed.items()
    }


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> Array:
    """Divergence of non-negative masses ``[..., m]`` along the last axis, base 2; NaN where one is zero."""
    p, q = _shares(first), _shares(second)
    found = _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2
    return np.asarray(np.clip(found, 0, 1), dtype=np.float64)


def segment_masses(items: sp.csr_matrix, memberships: np.ndarray) -> tuple[Array, Array]:
    """Interactions of each segment ``[S, I]`` and of everybody who is not in it ``[S, I]``.

    Args:
        items: Interactions, ``[I, U]``.
        memberships: ``[U, S]``.
    """
    inside = np.ascontiguousarray((items @ memberships.astype(np.float64)).T)
    # memberships are float32, so this may be a rounding error instead of 0
    outside = np.maximum(items.sum(1).A1 - inside, 0)
    outside[outside < 1e-6] = 0
    return inside, outside


def check_memberships(graph: BipartiteGraph, memberships: np.ndarray) -> None:
    """Refuse memberships that are not ``[U, S]``: of other users, or of no segment.

    Raises:
        ConfigError: Naming the two shapes.
    """
    if memberships.ndim != 2 or len(memberships) != graph.num_users or not memberships.shape[1]:
        raise ConfigError(
            f"'memberships' must be [{graph.num_users}, S], a row a user of the graph (got "
            f"{list(memberships.shape)})"
        )


def _measure(
    items: sp.csr_matrix, memberships: np.ndarray, traits: Mapping[str, sp.csr_matrix | None]
) -> dict[str, Array]:
    """Divergences between pairs, ``[S, S]``, and in one more column against the rest, ``[S, S + 1]``."""
    inside, outside = segment_masses(items, memberships)
    found = {}
    for kind, trait in traits.items():
        own, rest = (mass if trait is None else mass @ trait for mass in (inside, outside))
        size = len(own)
        table = np.zeros((size, size + 1))
        for segment in range(size - 1):
            table[segment, segment + 1 : size] = jensen_shannon(own[segment], own[segment + 1 :])
        table[:, :size] += table[:, :size].T
        empty = own.sum(1) <= 0
        table[empty, empty.nonzero()[0]] = np.nan
        table[:, size] = jensen_shannon(own, rest)
        found[kind] = table
    return found


def _divergence(observed: Array, chance: Array, p: Array) -> Divergence:
    p = np.where(np.isnan(observed), np.nan, p)
    tables = [part for table in (observed, chance, p) for part in (table[:, :-1], table[:, -1])]
    return Divergence(*tables)


def _shares(mass: np.ndarray) -> Array:
    total = mass.sum(-1, keepdims=True)
    return np.asarray(np.divide(mass, total, out=np.full(mass.shape, np.nan), where=total > 0))


def _entropy(shares: Array) -> Array:
    """Bits along the last axis."""
    from scipy import special

    return np.asarray(special.entr(shares).sum(-1) / np.log(2))


def _plain(table: Array) -> Any:
    """Nested lists of four decimals, None for NaN."""
    if table.ndim:
        return [_plain(row) for row in table]
    return None if np.isnan(table) else round(float(table), 4)
