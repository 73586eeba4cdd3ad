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
from gnnseg.segments.clusters import KMeans


class ScoreKMeans(KMeans):
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

    def __init__(
        self,
        *,
        num_segments: PositiveInt = 5,
        temperature: PositiveFloat = 0.25,
        num_starts: PositiveInt = 4,
    ) -> None:
        super().__init__(
            num_segments=num_segments, temperature=temperature, num_starts=num_starts, normalize=False
        )

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn the root and the centres."""
        items = embeddings.items.detach().double()
        if not torch.isfinite(items).all():
            raise DataError("item vectors hold NaN or infinite values; train the encoder with a lower rate")
        values, vectors = torch.linalg.eigh(items.T @ items)
        self.learned(root=vectors * values.clamp(min=0).sqrt() @ vectors.T)
        return super().fit(graph, embeddings, rng, users)

    def points(self, users: Tensor) -> Tensor:
        """Rows of the score matrix up to a rotation, ``[B, d]``."""
        self.check_learned("root")
        return users @ self.root
