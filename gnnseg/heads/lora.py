"""A low-rank bilinear form for each segment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.components import PositiveInt, Probability
from gnnseg.graph import Embeddings
from gnnseg.heads.base import SegmentHead


class LoRA(SegmentHead):
    """``u' = u + sum_s p_s u A_s B_s`` with ``A_s [d, r]``, ``B_s [r, d]`` (arXiv 2106.09685, equation 3).

    As scores are dot products, it is the same as giving the items a low-rank correction of a segment's own.
    ``B`` starts at zero.

    Args:
        dim: Size of the vectors, ``d``.
        num_segments: ``S``.
        rank: ``r``.
        dropout: Share of entries between the two maps dropped in training.
    """

    def __init__(
        self, dim: int, num_segments: int, *, rank: PositiveInt = 4, dropout: Probability = 0.0
    ) -> None:
        super().__init__(dim, num_segments)
        self.dropout = dropout
        self.down = nn.Parameter(torch.randn(num_segments, dim, rank) / dim**0.5)
        self.up = nn.Parameter(torch.zeros(num_segments, rank, dim))

    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """Users ``[B, d]`` adapted, items ``[I, d]`` unchanged."""
        low = torch.einsum("bd,sdr->bsr", embeddings.users, self.down) * memberships.unsqueeze(-1)
        low = F.dropout(low, self.dropout, self.training)
        return Embeddings(embeddings.users + torch.einsum("bsr,srd->bd", low, self.up), embeddings.items)
