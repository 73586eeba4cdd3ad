"""Segments from the scores that users give all items."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from torch import Tensor

from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.data import UserData
from gnnseg.errors import DataError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Segmenter, check_users, soft_assign, spread
from gnnseg.segments.clusters import kmeans


class ScoreKMeans(Segmenter):
    """K-means on the rows of the user-item score matrix ``U V^T``, without building it.

    The squared distance of two rows is ``(u - u') V^T V (u - u')^T``, which is that of ``u M`` and ``u' M``
    for the symmetric root ``M`` of ``V^T V``. K-means on ``U M`` is therefore k-means on the ``I`` columns
    of the score matrix, at ``d`` columns' cost: linear in users, and in items once.

    Args:
        num_segments: ``S``.
        temperature: Softness, as in :class:`KMeans`; towards zero every user is in one segment.
        num_starts: K-means runs, the best of which is kept.
    """

    root: Tensor
    centres: Tensor
    width: Tensor

    def __init__(
        self,
        *,
        num_segments: PositiveInt = 5,
        temperature: PositiveFloat = 0.25,
        num_starts: PositiveInt = 4,
    ) -> None:
        super().__init__()
        self._wanted = num_segments
        self.temperature = temperature
        self.num_starts = num_starts

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn the root and the centres."""
        check_users(embeddings.users, self._wanted)
        items = embeddings.items.detach().double()
        if not torch.isfinite(items).all():
            raise DataError("item vectors hold NaN or infinite values; train the encoder with a lower rate")
        values, vectors = torch.linalg.eigh(items.T @ items)
        self.learned(root=vectors * values.clamp(min=0).sqrt() @ vectors.T)
        points = embeddings.users @ self.root
        centres, labels = kmeans(points, self._wanted, self.num_starts, rng)
        self.learned(centres=centres, width=self.temperature * spread(points, centres, labels))
        self.learned(memberships=self(embeddings.users))
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``."""
        self.check_learned("centres")
        return soft_assign(users @ self.root, self.centres, self.width)
