"""A scale and a shift for each segment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.components import Probability
from gnnseg.graph import Embeddings
from gnnseg.heads.base import SegmentHead


class FiLM(SegmentHead):
    """Users' vectors times ``1 + p G`` plus ``p B`` (Perez et al., arXiv 1709.07871, equation 2).

    ``p`` are the memberships. The scale weighs the dimensions of taste for a segment, the shift adds a
    segment's own ranking of the items. Both start at zero.

    Args:
        dim: Size of the vectors, ``d``.
        num_segments: ``S``.
        dropout: Share of entries of scale and shift dropped in training.
    """

    def __init__(self, dim: int, num_segments: int, *, dropout: Probability = 0.0) -> None:
        super().__init__(dim, num_segments)
        self.dropout = dropout
        self.scale = nn.Parameter(torch.zeros(num_segments, dim))
        self.shift = nn.Parameter(torch.zeros(num_segments, dim))

    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """Users ``[B, d]`` adapted, items ``[I, d]`` unchanged."""
        scale = F.dropout(memberships @ self.scale, self.dropout, self.training)
        shift = F.dropout(memberships @ self.shift, self.dropout, self.training)
        return Embeddings(torch.addcmul(embeddings.users + shift, embeddings.users, scale), embeddings.items)
