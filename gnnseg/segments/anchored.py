"""Segments of any shape: users belong where the points around them do."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.data import UserData
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Segmenter, check_users
from gnnseg.segments.clusters import kmeans

BLOCK = 4096
"""Vectors that are compared with all anchors at a time."""


class Anchored(Segmenter):
    """Assigns vectors by the segments of anchors, a bounded number of points, near them.

    The share of a segment is its part of ``sum_a w_a exp(-|x - a|^2 / width)`` over the anchors ``a``; the
    width is ``temperature`` times the mean squared distance of anchors to the mean of their segment. A vector
    that is outside the radius of every anchor is outside every segment.

    Args:
        temperature: Softness; towards zero the nearest anchor decides.
        normalize: Measure between directions (unit vectors) instead of the vectors themselves.
    """

    anchors: Tensor
    votes: Tensor
    radii: Tensor
    width: Tensor

    def __init__(self, *, temperature: PositiveFloat = 0.25, normalize: bool = True) -> None:
        super().__init__()
        self.temperature = temperature
        self.normalize = normalize

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``, in blocks."""
        self.check_learned("anchors")
        return torch.cat([self._assign(block) for block in self.points(users).split(BLOCK)])

    def points(self, users: Tensor) -> Tensor:
        """What distances are measured between, ``[B, d]``."""
        return F.normalize(users, dim=1) if self.normalize else users

    def learn_anchors(
        self, anchors: Tensor, labels: np.ndarray, weights: np.ndarray, radii: np.ndarray
    ) -> None:
        """Store anchors; without any, everybody is outside the only segment.

        Args:
            anchors: ``[n, d]``.
            labels: Segment of each, ``[n]``, every one of ``0 .. S-1`` taken.
            weights: ``w``, ``[n]`` > 0.
            radii: How far each reaches, ``[n]``.
        """
        segments = torch.from_numpy(labels.astype(np.int64)).to(anchors.device)
        weight = torch.from_numpy(weights).to(anchors)
        votes = anchors.new_zeros(len(anchors), int(labels.max(initial=0)) + 1)
        votes[torch.arange(len(anchors)), segments] = weight
        width = torch.ones(())
        if len(anchors):
            means = (votes.T @ anchors) / votes.sum(0).unsqueeze(1)
            repeated = (anchors - means[segments]).square().sum(1)
            width = self.temperature * (weight * repeated).sum() / weight.sum()
        reach = torch.from_numpy(radii).to(anchors) * (1 + 1e-5) + 1e-6  # what float32 may be off by
        self.learned(anchors=anchors, votes=votes, radii=reach, width=width.to(anchors))

    def _assign(self, points: Tensor) -> Tensor:
        distances = torch.cdist(points, self.anchors, compute_mode="donot_use_mm_for_euclid_dist")
        inside = (distances <= self.radii).any(1, keepdim=True)
        near = torch.softmax(-distances.square() / self.width.clamp(min=1e-12), dim=1)
        shares: Tensor = F.normalize(near @ self.votes, p=1, dim=1) * inside
        return shares


class Agglomerative(Anchored):
    """Ward's hierarchical clustering (Ward 1963, doi 10.1080/01621459.1963.10500845) of k-means centres.

    A centre weighs as many users as it has. With at least as many centres as users it is Ward's method on the
    users themselves; with fewer, the cost is linear in users. Where fewer vectors differ than segments are
    asked for, there are as many segments as different vectors.

    Args:
        num_segments: ``S``.
        num_centres: Centres to begin with at most.
        kwargs: Hyper-parameters of :class:`Anchored`.
    """

    def __init__(
        self, *, num_segments: PositiveInt = 6, num_centres: PositiveInt = 300, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._wanted = num_segments
        self.num_centres = num_centres

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn centres and the segment of each."""
        check_users(embeddings.users, self._wanted)
        points = self.points(embeddings.users.detach())
        centres = landmarks(points, max(self.num_centres, self._wanted), rng)
        sizes = torch.bincount(nearest(points, centres), minlength=len(centres)).cpu().numpy()
        centres, sizes = centres[torch.from_numpy(sizes > 0)], sizes[sizes > 0].astype(np.float64)
        labels = ward(centres.double().cpu().numpy(), sizes, self._wanted)
        self.learn_anchors(centres, labels, sizes, np.full(len(centres), np.inf))
        self.learned(memberships=self(embeddings.users))
        return self


def landmarks(points: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """K-means centres of points ``[U, d]``, at most ``count``; the points themselves where they are fewer.

    At most 50 points a centre, drawn, are looked at, so the cost does not grow with users.
    """
    if len(points) <= count:
        different: Tensor = torch.unique(points, dim=0)
        return different
    chosen = torch.from_numpy(rng.permutation(len(points))[: 50 * count]).to(points.device)
    return kmeans(points[chosen], count, 1, rng)[0]


def nearest(points: Tensor, anchors: Tensor) -> Tensor:
    """The nearest anchor of each point, ``[U, d], [n, d] -> [U]``, in blocks."""
    return torch.cat([torch.cdist(block, anchors).argmin(1) for block in points.split(BLOCK)])


def ward(centres: np.ndarray, sizes: np.ndarray, num_segments: int) -> np.ndarray:
    """Ward's method on weighted points: join the two whose union adds least to the squared error.

    Args:
        centres: ``[n, d]``.
        sizes: Users of each, ``[n]`` > 0.
        num_segments: When to stop.

    Returns:
        Labels ``[n]``, numbered in the order in which they occur.
    """
    centres, sizes = centres.copy(), sizes.copy()
    labels = np.arange(len(centres))

    def cost(of: int) -> np.ndarray:
        share = sizes * sizes[of] / (sizes + sizes[of])
        found: np.ndarray = share * ((centres - centres[of]) ** 2).sum(1)
        return np.where(np.arange(len(sizes)) == of, np.inf, found)

    costs = np.stack([cost(one) for one in range(len(centres))])
    for _ in range(len(centres) - num_segments):
        kept, gone = divmod(int(costs.argmin()), len(centres))
        total = sizes[kept] + sizes[gone]
        centres[kept] = (sizes[kept] * centres[kept] + sizes[gone] * centres[gone]) / total
        sizes[kept] = total
        labels[labels == gone] = kept
        costs[gone], costs[:, gone] = np.inf, np.inf
        joined = np.where(np.isinf(costs[kept]), np.inf, cost(kept))
        costs[kept], costs[:, kept] = joined, joined
    first = np.unique(labels, return_index=True)[1]
    order = np.argsort(first).argsort()
    return np.asarray(order[np.unique(labels, return_inverse=True)[1]])
