"""Segments where users lie densely; those in between belong to none."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any, Self

import numpy as np
import torch

from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.data import UserData
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.anchored import Anchored
from gnnseg.segments.base import check_users

log = logging.getLogger(__name__)


class Density(Anchored):
    """Dense regions among at most ``max_users`` users, drawn, whom all others are assigned by.

    Who is outside every region is outside every segment. If nothing is dense, there is one segment, and
    nobody is in it: everybody keeps the global model.

    Args:
        min_users: Users, itself included, that make a place dense; the smallest segment, at least 2. Of the
            users drawn, where not all are.
        max_users: Users among whom regions are found; the cost is quadratic in these alone.
        kwargs: Hyper-parameters of :class:`Anchored`.
    """

    def __init__(self, *, min_users: PositiveInt = 10, max_users: PositiveInt = 5000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.min_users = min_users
        self.max_users = max_users

    @abstractmethod
    def _regions(self, points: np.ndarray, min_users: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels, -1 for noise, which points are anchors, and how far each reaches, ``[n]`` each."""

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn anchors and the segment of each."""
        check_users(embeddings.users, 1)
        points = self.points(embeddings.users.detach())
        drawn = np.sort(rng.permutation(len(points))[: self.max_users])
        sample = points[torch.from_numpy(drawn).to(points.device)]
        wanted = min(max(2, self.min_users), len(drawn))
        labels, anchor, radii = self._regions(sample.double().cpu().numpy(), wanted)
        chosen = torch.from_numpy(anchor).to(points.device)
        found = np.unique(labels[anchor], return_inverse=True)[1].reshape(-1)
        if not len(found):
            log.warning("%s found no dense place: nobody is in a segment", type(self).__name__)
        self.learn_anchors(sample[chosen], found, np.ones(anchor.sum()), radii[anchor])
        memberships = self(embeddings.users.detach())
        memberships[torch.from_numpy(drawn[labels < 0]).to(points.device)] = 0
        self.learned(memberships=memberships)
        return self


class DBSCAN(Density):
    """Places with ``min_users`` users within ``eps`` and what they reach (Ester et al. 1996, KDD).

    Anchors are the core users. A vector is in a segment if a core user is within ``eps``.

    Args:
        eps: Radius; None takes the knee of the sorted distances to the ``min_users``-th neighbour, as the
            paper's section 4.2 has it, found as the point farthest above the chord.
        kwargs: Hyper-parameters of :class:`Density`.
    """

    def __init__(self, *, eps: PositiveFloat | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.eps = eps

    def _regions(self, points: np.ndarray, min_users: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        from sklearn import cluster

        eps = knee(neighbor_distances(points, min_users)) if self.eps is None else self.eps
        model = cluster.DBSCAN(eps=max(eps, 1e-6), min_samples=min_users).fit(points)
        core = np.zeros(len(points), dtype=bool)
        core[model.core_sample_indices_] = True
        return model.labels_, core, np.full(len(points), eps)


class HDBSCAN(Density):
    """The most persistent dense regions (Campello et al. 2013, doi 10.1007/978-3-642-37456-2_14).

    Anchors are all users in a region. A vector is in a segment if it is as near to one of them as that one's
    ``min_users``-th neighbour.

    Args:
        one_allowed: Whether all users may be one segment, not only two or more.
        kwargs: Hyper-parameters of :class:`Density`.
    """

    def __init__(self, *, one_allowed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.one_allowed = one_allowed

    def _regions(self, points: np.ndarray, min_users: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        from sklearn import cluster

        labels = np.full(len(points), -1)
        if len(points) >= 2:
            model = cluster.HDBSCAN(
                min_cluster_size=min_users,
                min_samples=min_users,
                allow_single_cluster=self.one_allowed,
                copy=True,
            )
            labels = model.fit(points).labels_
        return labels, labels >= 0, neighbor_distances(points, min_users)


def neighbor_distances(points: np.ndarray, count: int) -> np.ndarray:
    """Distance of each point to the farthest of its ``count`` nearest, itself included, ``[n]``."""
    from sklearn.neighbors import NearestNeighbors

    distances = NearestNeighbors(n_neighbors=count).fit(points).kneighbors(points)[0]
    return np.asarray(distances[:, -1])


def knee(values: np.ndarray) -> float:
    """Where sorted values ``[m]`` bend upwards most: farthest below the line from the first to the last."""
    ordered = np.sort(values)
    line = np.linspace(ordered[0], ordered[-1], len(ordered))
    return float(ordered[(line - ordered).argmax()])
