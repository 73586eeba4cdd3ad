"""Embeddings adapted to segments."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gnnseg.components import Component
from gnnseg.graph import Embeddings


class SegmentHead(Component, nn.Module, ABC):
    """Conditions embeddings on segment memberships; starts as the identity.

    Scores stay dot products of what it returns; the vectors may become longer.

    Args:
        dim: Size of the incoming vectors, ``d``.
        num_segments: ``S``.
    """

    def __init__(self, dim: int, num_segments: int) -> None:
        super().__init__()
        self.dim = dim
        self.num_segments = num_segments

    @abstractmethod
    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """Adapt the vectors.

        Args:
            embeddings: Users ``[B, d]`` and items ``[I, d]``.
            memberships: Rows sum to one, or are zero for users whose vectors stay as they are, ``[B, S]``.

        Returns:
            Users ``[B, e]`` and items ``[I, e]``.
        """

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"dim={self.dim}, num_segments={self.num_segments}"
