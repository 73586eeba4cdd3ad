"""Segments from eigenvectors."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.data import UserData
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.anchored import BLOCK, landmarks
from gnnseg.segments.base import Centred, Segmenter, as_seed, check_users, soft_assign, spread
from gnnseg.segments.clusters import kmeans
from gnnseg.spectral import item_degrees, normalised


class CoClustering(Centred):
    """Users and items together by spectral co-clustering (Dhillon 2001, doi 10.1145/502512.502550).

    K-means on the scaled singular vectors of ``D_u^-1/2 R D_i^-1/2``, the first, trivial one left out
    (algorithm Multipartition). Memberships fall with the distance to the centres in that space. Users without
    links, and any others, are assigned by the distance to the segments' mean vectors. A graph without links
    or whose users are all alike is one segment.

    Args:
        num_segments: ``S``.
        num_vectors: Singular vectors; None takes ``S - 1``, where the paper has ``ceil(log2 S)``, which
            planted segments were not recovered from.
        num_starts: K-means runs, the best of which is kept.
        kwargs: Hyper-parameters of :class:`Centred`.
    """

    def __init__(
        self,
        *,
        num_segments: PositiveInt = 6,
        num_vectors: PositiveInt | None = None,
        num_starts: PositiveInt = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._wanted = num_segments
        self.num_vectors = num_vectors
        self.num_starts = num_starts

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Co-cluster, and learn the mean vector of each segment."""
        check_users(embeddings.users, self._wanted)
        links = graph.biadjacency()
        linked = np.diff(links.indptr) > 0
        shares = torch.ones(graph.num_users, 1)
        if linked.any():
            rows, columns = self._vectors(links, rng)
            points = torch.from_numpy(np.concatenate([rows[linked], columns[links.getnnz(axis=0) > 0]]))
            if points.shape[1]:
                centres, labels = kmeans(points, self._wanted, self.num_starts, rng)
                width = self.temperature * spread(points, centres, labels)
                shares = soft_assign(torch.from_numpy(rows), centres, width)
                shares[torch.from_numpy(~linked)] = 0
        self.learn_groups(embeddings.users, shares)
        return self

    def _vectors(self, links: sp.csr_matrix, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Scaled singular vectors of users ``[U, l]`` and items ``[I, l]``, float64, equation 13."""
        from sklearn.utils.extmath import randomized_svd

        count = min(1 + (self.num_vectors or self._wanted - 1), *links.shape)
        left, values, right = randomized_svd(normalised(links), count, n_iter=10, random_state=as_seed(rng))
        kept = values > 1e-6 * values[0]
        kept[0] = False
        degrees = item_degrees(links.T.tocsr()), item_degrees(links)  # a user's are its items
        return left[:, kept] / np.sqrt(degrees[0])[:, None], right[kept].T / np.sqrt(degrees[1])[:, None]


class Spectral(Segmenter):
    """Spectral clustering through landmarks (Chen and Cai 2011, AAAI, "Large Scale Spectral Clustering").

    A user is a mixture of its nearest landmarks, k-means centres: ``Z [U, p]``, rows sum to one. With ``D``
    the column sums, the eigenvectors of ``Z D^-1 Z^T``, the normalised affinity of users, follow from a
    ``p x p`` matrix, and extend to any other vector. K-means on their rows gives segments, softened. The cost
    is linear in users.

    Args:
        num_segments: ``S``.
        num_landmarks: ``p``; users themselves where they are fewer.
        num_neighbors: Nearest landmarks of a user that count.
        num_starts: K-means runs, the best of which is kept.
        temperature: Softness, as in :class:`KMeans`.
        normalize: Measure between directions (unit vectors) instead of the vectors themselves.
    """

    anchors: Tensor
    bandwidth: Tensor
    maps: Tensor
    centres: Tensor
    width: Tensor

    def __init__(
        self,
        *,
        num_segments: PositiveInt = 6,
        num_landmarks: PositiveInt = 300,
        num_neighbors: PositiveInt = 5,
        num_starts: PositiveInt = 4,
        temperature: PositiveFloat = 0.25,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self._wanted = num_segments
        self.num_landmarks = num_landmarks
        self.num_neighbors = num_neighbors
        self.num_starts = num_starts
        self.temperature = temperature
        self.normalize = normalize

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn landmarks, eigenvectors and centres."""
        check_users(embeddings.users, self._wanted)
        points = self.points(embeddings.users.detach())
        self.learned(anchors=landmarks(points, max(self.num_landmarks, self._wanted), rng))
        near = torch.cat([self._near(block)[0] for block in points.split(BLOCK)])
        self.learned(bandwidth=near.mean())
        self._learn_maps(points)
        rows = self._rows(points)
        centres, labels = kmeans(rows, self._wanted, self.num_starts, rng)
        self.learned(centres=centres, width=self.temperature * spread(rows, centres, labels))
        self.learned(memberships=self(embeddings.users))
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``, in blocks."""
        self.check_learned("centres")
        return soft_assign(self._rows(self.points(users)), self.centres, self.width)

    def points(self, users: Tensor) -> Tensor:
        """What distances are measured between, ``[B, d]``."""
        return F.normalize(users, dim=1) if self.normalize else users

    def _near(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Squared distances to the nearest landmarks and which they are, ``[b, r]`` each."""
        distances = torch.cdist(points, self.anchors, compute_mode="donot_use_mm_for_euclid_dist").square()
        found = distances.topk(min(self.num_neighbors, len(self.anchors)), dim=1, largest=False)
        return found.values, found.indices

    def _mixture(self, points: Tensor) -> Tensor:
        """``Z`` of some points, ``[b, p]`` (equation 2, Gaussian kernel)."""
        distances, which = self._near(points)
        shares = torch.softmax(-distances / self.bandwidth.clamp(min=1e-12), dim=1)
        return points.new_zeros(len(points), len(self.anchors)).scatter(1, which, shares)

    def _learn_maps(self, points: Tensor) -> None:
        """From ``Z`` to eigenvectors of the users' affinity, ``[p, k]``: ``D^-1/2 V / sigma``, equation 7."""
        size = len(self.anchors)
        gram, sums = (points.new_zeros(shape, dtype=torch.float64) for shape in ((size, size), (size,)))
        for block in points.split(BLOCK):
            z = self._mixture(block).double()
            gram += z.T @ z
            sums += z.sum(0)
        scale = torch.where(sums > 0, sums, torch.inf).rsqrt()
        values, vectors = torch.linalg.eigh(scale.unsqueeze(1) * gram * scale)
        kept = min(self._wanted, int((values > 1e-6 * values[-1]).sum()))
        values, vectors = values[-kept:], vectors[:, -kept:]
        self.learned(maps=scale.unsqueeze(1) * vectors / values.sqrt() * len(points) ** 0.5)

    def _rows(self, points: Tensor) -> Tensor:
        return torch.cat([self._mixture(block) @ self.maps for block in points.split(BLOCK)])
