"""How good segments are, apart from what they do for ranking."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F

from gnnseg.data import UserData
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Segmenter
from gnnseg.segments.consensus import Consensus

MAX_SILHOUETTE_USERS = 5_000


def quality(
    segmenter: Segmenter, graph: BipartiteGraph, embeddings: Embeddings, rng: np.random.Generator
) -> dict[str, float | None]:
    """Measures of fitted segments; None where one is not defined (one segment, one view).

    * ``modularity``: Barber's bipartite modularity (arXiv 0707.1616) of users' strongest segments, each item
      in the segment that most of its users are in; at most 1.
    * ``silhouette``: mean silhouette of the users' directions, -1 to 1 (at most 5,000 users, sampled).
    * ``agreement``: adjusted Rand index between the views of a :class:`Consensus`, at most 1.
    * ``sharpness``: mean of each user's largest membership, ``1/S`` to 1.

    Users outside every segment do not count, but for the agreement, where they are a group of their own.
    """
    labels = segmenter.labels.cpu().numpy()
    largest = segmenter.memberships.max(1).values
    return {
        "modularity": modularity(graph, labels),
        "silhouette": silhouette(embeddings, labels, rng),
        "agreement": _agreement(segmenter),
        "sharpness": float(largest[largest > 0].mean()) if (labels >= 0).any() else None,
    }


def modularity(graph: BipartiteGraph, labels: np.ndarray) -> float:
    """Barber's modularity of user labels ``[U]``; items go where most of their users are.

    Users outside every segment (label -1) share one with no item.
    """
    matrix = graph.biadjacency()
    size = labels.max(initial=0) + 1
    one_hot = np.eye(size + 1)[labels][:, :size]
    item_labels = np.asarray(matrix.T @ one_hot).argmax(1)
    rows, columns = matrix.nonzero()
    inside = float((labels[rows] == item_labels[columns]).mean())
    user_mass = np.bincount(labels + 1, np.diff(matrix.indptr), size + 1)[1:]
    item_mass = np.bincount(item_labels, np.asarray(matrix.sum(0)).ravel(), size)
    return inside - float(user_mass @ item_mass) / graph.num_edges**2


def silhouette(embeddings: Embeddings, labels: np.ndarray, rng: np.random.Generator) -> float | None:
    """Mean silhouette of users' directions, or None with fewer than two segments."""
    from sklearn.metrics import silhouette_score

    points = F.normalize(embeddings.users.detach(), dim=1).cpu().numpy()
    points, labels = points[labels >= 0], labels[labels >= 0]
    chosen = rng.permutation(len(points))[:MAX_SILHOUETTE_USERS]
    points, labels = points[chosen], labels[chosen]
    if not 1 < len(np.unique(labels)) < len(labels):
        return None
    return float(silhouette_score(points, labels))


def stability(
    make: Callable[[], Segmenter],
    graph: BipartiteGraph,
    embeddings: Embeddings,
    rngs: list[np.random.Generator],
    users: UserData | None = None,
) -> float | None:
    """Mean adjusted Rand index between fits from different seeds; None for fewer than two seeds."""
    fits = [make().fit(graph, embeddings, rng, users).labels.cpu().numpy() for rng in rngs]
    return _mean_agreement(fits)


def _agreement(segmenter: Segmenter) -> float | None:
    if not isinstance(segmenter, Consensus):
        return None
    return _mean_agreement([view.labels.cpu().numpy() for view in segmenter.members])


def _mean_agreement(partitions: list[np.ndarray]) -> float | None:
    from sklearn.metrics import adjusted_rand_score

    pairs = [adjusted_rand_score(a, b) for a, b in combinations(partitions, 2)]
    return float(np.mean(pairs)) if pairs else None


def sizes(segmenter: Segmenter) -> list[int]:
    """Users whose strongest membership is in each segment, ``S`` numbers."""
    labels = segmenter.labels
    return torch.bincount(labels[labels >= 0], minlength=segmenter.num_segments).tolist()
