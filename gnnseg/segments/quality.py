"""How good segments are, apart from what they do for ranking.

Every measure is written as a mean over users, so that one bootstrap over users gives the interval of each. A
measure that is no mean is linearised: a user's value is the measure plus what the measure would change by,
times the number of users, if that user weighed more (its influence, Efron and Tibshirani 1993, chapter 22).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F

from gnnseg.data import UserData
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Segmenter
from gnnseg.segments.consensus import Views
from gnnseg.statistics import Array, Interval, mean_interval, normal_interval

MAX_SILHOUETTE_USERS = 5_000

RESAMPLES = 2_000

MAX_BOOTSTRAP_USERS = 10_000
"""With more users the interval is the normal distribution's, from which the bootstrap's hardly differs."""


def quality(
    segmenter: Segmenter,
    graph: BipartiteGraph,
    embeddings: Embeddings,
    rng: np.random.Generator,
    fits: Sequence[np.ndarray] = (),
) -> dict[str, Interval | None]:
    """Measures of fitted segments with 95 % intervals over users; None where one is not defined.

    * ``modularity``: Barber's bipartite modularity (arXiv 0707.1616) of users' strongest segments, each item
      in the segment that most of its users are in; at most 1.
    * ``silhouette``: mean silhouette of the users' directions, -1 to 1 (at most 5,000 users, sampled).
    * ``agreement``: adjusted Rand index between the views of a :class:`Views` or ``Consensus``, at most 1.
    * ``stability``: adjusted Rand index between the fits of :func:`refits`, at most 1.
    * ``sharpness``: mean of each user's largest membership, ``1/S`` to 1.
    * ``entropy``: entropy of the segments' sizes over ``log S``: 1 where all are of one size, 0 where one
      holds everybody.

    Users outside every segment (label -1) do not count, but are a group of their own in the agreement and
    the stability. The intervals say what other users would change, with the fitted segments as they are.

    Args:
        segmenter: Fitted.
        graph: The training graph.
        embeddings: Users ``[U, d]`` and items ``[I, d]``.
        rng: Source of the sample and the resamples.
        fits: Labels of the same users from fits of other seeds, ``[U]`` each.
    """
    labels = segmenter.labels.cpu().numpy()
    views = segmenter.members if isinstance(segmenter, Views) else []
    largest = segmenter.memberships.max(1).values.cpu().numpy().astype(np.float64)
    by_user = {
        "modularity": modularity_values(graph, labels),
        "silhouette": silhouette_values(embeddings, labels, rng),
        "agreement": rand_values([view.labels.cpu().numpy() for view in views]),
        "stability": rand_values(fits),
        "sharpness": largest[largest > 0] if largest.any() else None,
        "entropy": entropy_values(labels, segmenter.num_segments),
    }
    return {name: None if values is None else _interval(values, rng) for name, values in by_user.items()}


def refits(
    make: Callable[[], Segmenter],
    graph: BipartiteGraph,
    embeddings: Embeddings,
    rngs: Sequence[np.random.Generator],
    users: UserData | None = None,
) -> list[np.ndarray]:
    """Labels ``[U]`` of new fits, one from each source of randomness."""
    return [make().fit(graph, embeddings, rng, users).labels.cpu().numpy() for rng in rngs]


def modularity(graph: BipartiteGraph, labels: np.ndarray) -> float | None:
    """Barber's modularity of user labels ``[U]``; items go where most of their users are.

    A user outside every segment (label -1) is a community of its own without items.

    Returns:
        At most 1; None without links or segments.
    """
    values = modularity_values(graph, labels)
    return None if values is None else float(values.mean())


def modularity_values(graph: BipartiteGraph, labels: np.ndarray) -> Array | None:
    """:func:`modularity` by user, ``[U]``, with the items' segments as they are."""
    matrix = graph.biadjacency()
    total, size = float(matrix.nnz), labels.max(initial=-1) + 1
    if not total or not size:
        return None
    one_hot = np.eye(size + 1)[labels][:, :size]
    counts = matrix.T @ one_hot
    item_labels = np.where(counts.any(1), counts.argmax(1), -1)
    rows = np.repeat(np.arange(len(labels)), np.diff(matrix.indptr))
    together = (labels[rows] >= 0) & (labels[rows] == item_labels[matrix.indices])
    links, own = (np.bincount(rows, weight, len(labels)) for weight in (None, together))
    user_mass = np.append(links @ one_hot, 0)  # what is outside has label -1, the last place
    item_mass = np.append(np.bincount(item_labels + 1, matrix.getnnz(axis=0), size + 1)[1:], 0)
    expected = float(user_mass @ item_mass)
    reach = matrix @ user_mass[item_labels]
    influence = (own - own.sum() * links / total) / total
    influence -= (links * item_mass[labels] + reach - 2 * links * expected / total) / total**2
    value = own.sum() / total - expected / total**2
    return np.asarray(value + len(labels) * influence, dtype=np.float64)


def silhouette(embeddings: Embeddings, labels: np.ndarray, rng: np.random.Generator) -> float | None:
    """Mean silhouette of users' directions, labels ``[U]``; None with fewer than two segments."""
    values = silhouette_values(embeddings, labels, rng)
    return None if values is None else float(values.mean())


def silhouette_values(embeddings: Embeddings, labels: np.ndarray, rng: np.random.Generator) -> Array | None:
    """:func:`silhouette` by user of the sample, ``[m]``, with the others as they are."""
    from sklearn.metrics import silhouette_samples

    inside = np.flatnonzero(labels >= 0)
    chosen = rng.permutation(inside)[:MAX_SILHOUETTE_USERS]
    points = F.normalize(embeddings.users.detach(), dim=1).cpu().numpy()[chosen]
    if not 1 < len(np.unique(labels[chosen])) < len(chosen):
        return None
    return np.asarray(silhouette_samples(points, labels[chosen]), dtype=np.float64)


def rand_values(partitions: Sequence[np.ndarray]) -> Array | None:
    """Mean adjusted Rand index over pairs of partitions, by user; None for fewer than two.

    Args:
        partitions: Labels of the same users, ``[U]`` each; -1 is a group like any other.

    Returns:
        ``[U]``, the mean of which is the index.
    """
    pairs = [_rand_values(a, b) for a, b in combinations(partitions, 2)]
    return np.mean(pairs, axis=0) if pairs else None


def _rand_values(first: np.ndarray, second: np.ndarray) -> Array:
    """The jackknife's pseudo-values of the adjusted Rand index (Hubert and Arabie 1985, equation 5)."""
    both = (first + 1) * (second.max(initial=0) + 2) + second
    together = []
    for groups in (first, second, both):
        _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
        together.append(counts[inverse].astype(np.float64) - 1)  # others in the group of each user
    size = len(first)
    index = _adjusted([others.sum() / 2 for others in together], size)
    without = _adjusted([others.sum() / 2 - others for others in together], size - 1)
    values: Array = index + (size - 1) * (without.mean() - without)
    return values


def _adjusted(pairs: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Adjusted Rand index from pairs of users together in the first, in the second and in both."""
    first, second, both = pairs
    expected = first * second / max(1, size * (size - 1) / 2)
    room = (first + second) / 2 - expected
    # no room: both are one group, or both only single users, and agree
    return np.where(room > 0, (both - expected) / np.where(room > 0, room, 1), 1.0)


def entropy_values(labels: np.ndarray, num_segments: int) -> Array | None:
    """Entropy of the sizes over ``log S``, by user inside a segment, labels ``[U]``; None for one segment."""
    inside = labels[labels >= 0]
    if num_segments < 2 or not len(inside):
        return None
    share = np.bincount(inside, minlength=num_segments) / len(inside)
    values: Array = -np.log(share[inside]) / np.log(num_segments)
    return values


def _interval(values: Array, rng: np.random.Generator) -> Interval:
    if len(values) > MAX_BOOTSTRAP_USERS:
        found = normal_interval(values)
    else:
        found = mean_interval(values, rng, resamples=RESAMPLES)
    return Interval(found.mean, found.low, min(found.high, max(found.mean, 1.0)))  # no measure exceeds 1


def sizes(segmenter: Segmenter) -> list[int]:
    """Users whose strongest membership is in each segment, ``S`` numbers."""
    labels = segmenter.labels
    return torch.bincount(labels[labels >= 0], minlength=segmenter.num_segments).tolist()
