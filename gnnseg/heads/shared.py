"""The head that ignores segments."""

from __future__ import annotations

from torch import Tensor

from gnnseg.graph import Embeddings
from gnnseg.heads.base import SegmentHead


class Shared(SegmentHead):
    """One model for everybody: vectors pass unchanged, bit for bit.

    Args:
        dim: Size of the vectors, ``d``.
        num_segments: ``S``, not used.
    """

    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """Users ``[B, d]`` and items ``[I, d]``, unchanged."""
        return embeddings
