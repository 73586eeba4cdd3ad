"""Metrics of a ranked list, computed for all users at once.

An accuracy metric is a public function ``f(hits, relevant)`` of this module, named in configs as ``name@k``:

* ``hits``: whether the item at each rank is one of the user's held-out items, ``[n, k]`` bool;
* ``relevant``: how many held-out items the user has, ``[n]``, at least 1.

It returns one value a user, ``[n]`` float64, from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gnnseg.errors import ConfigError, unknown

Array = npt.NDArray[np.float64]
Hits = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


def recall(hits: Hits, relevant: Counts) -> Array:
    """Hits in the top k over the number of held-out items, ``[n]``."""
    return np.asarray(hits.sum(1) / relevant, dtype=np.float64)


def precision(hits: Hits, relevant: Counts) -> Array:
    """Hits in the top k over k, ``[n]``."""
    return np.asarray(hits.mean(1), dtype=np.float64)


def hit(hits: Hits, relevant: Counts) -> Array:
    """1 where any of the top k is held out, ``[n]``."""
    return np.asarray(hits.any(1), dtype=np.float64)


def ndcg(hits: Hits, relevant: Counts) -> Array:
    """Discounted gain with binary relevance, ``1 / log2(rank + 1)``, over the best possible in k, ``[n]``.

    Järvelin and Kekäläinen 2002, doi 10.1145/582415.582418.
    """
    k = hits.shape[1]
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    return np.asarray(hits @ discount / ideal[np.minimum(relevant, k)], dtype=np.float64)


def mrr(hits: Hits, relevant: Counts) -> Array:
    """One over the rank of the first hit, 0 without one, ``[n]``."""
    return np.asarray(np.where(hits.any(1), 1 / (hits.argmax(1) + 1), 0.0), dtype=np.float64)


def map(hits: Hits, relevant: Counts) -> Array:  # noqa: A001 - the field's name
    """Mean over held-out items of the precision at each hit, over min(k, relevant), ``[n]``."""
    k = hits.shape[1]
    precisions = hits.cumsum(1) / np.arange(1, k + 1)
    return np.asarray((precisions * hits).sum(1) / np.minimum(relevant, k), dtype=np.float64)


ACCURACY: dict[str, Callable[[Hits, Counts], Array]] = {
    f.__name__: f for f in (recall, precision, hit, ndcg, mrr, map)
}


def parse(name: str) -> tuple[str, int]:
    """``"ndcg@10"`` to ``("ndcg", 10)``.

    Raises:
        ConfigError: For an unknown metric or a cut-off that is not a positive integer.
    """
    metric, _, cutoff = name.partition("@")
    if metric not in ACCURACY:
        raise ConfigError(unknown("metric", metric, ACCURACY) + " (write name@k, such as ndcg@10)")
    if not cutoff.isdecimal() or int(cutoff) < 1:
        raise ConfigError(
            f"metric '{name}': the cut-off after '@' must be a positive integer (got {cutoff!r})"
        )
    return metric, int(cutoff)


def beyond_accuracy(items: Counts, popularity: Counts, features: Array | None = None) -> dict[str, float]:
    """What lists are like, whoever they are for.

    Args:
        items: Recommended rows of items, ``[n, k]``.
        popularity: Training interactions of each item, ``[I]``.
        features: Unit vectors of the items' texts, ``[I, f]``, or None.

    Returns:
        ``coverage``, share of the catalogue that anybody is shown; ``gini``, inequality of exposure over the
        catalogue, 0 (equal) to 1; ``popularity``, mean training interactions of shown items; ``novelty``,
        mean self-information of shown items in bits, ``-log2`` of their share of interactions (Vargas and
        Castells 2011, doi 10.1145/2043932.2043955), unseen items counted as seen once; ``diversity``, mean
        cosine distance between two items of a list, with features only.
    """
    exposure = np.bincount(items.ravel(), minlength=len(popularity))
    share = np.maximum(popularity, 1) / max(1, int(popularity.sum()))
    result = {
        "coverage": float((exposure > 0).mean()),
        "gini": gini(exposure.astype(np.float64)),
        "popularity": float(popularity[items].mean()),
        "novelty": float(-np.log2(share)[items].mean()),
    }
    if features is not None and items.shape[1] > 1:
        result["diversity"] = float(np.mean([_diversity(features[block]) for block in _blocks(items)]))
    return result


def gini(values: Array) -> float:
    """Gini coefficient of non-negative values, ``[m]``: 0 if all are equal, towards 1 if one has all."""
    ordered = np.sort(values)
    total = ordered.sum()
    if total == 0:
        return 0.0
    m = len(ordered)
    return float(2 * (np.arange(1, m + 1) @ ordered) / (m * total) - (m + 1) / m)


def _diversity(vectors: Array) -> float:
    """Mean cosine distance over pairs of different items in lists ``[b, k, f]``."""
    k = vectors.shape[1]
    together = np.square(vectors.sum(1)).sum(-1)
    alone = np.square(vectors).sum((1, 2))
    return float(1 - ((together - alone) / (k * (k - 1))).mean())


def _blocks(items: Counts) -> list[Counts]:
    return np.array_split(items, max(1, len(items) // 512))
