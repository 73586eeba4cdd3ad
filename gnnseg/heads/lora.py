"""A low-rank bilinear form for each segment."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.components import PositiveInt, Probability
from gnnseg.graph import Embeddings
from gnnseg.heads.base import SegmentHead


class LoRA(SegmentHead):
    """Low-rank maps of users and items for each segment (arXiv 2106.09685, equation 3).

    The score is ``sum_s p_s <h_s(u), g_s(v)>`` with ``h_s(u) = u + u A_s B_s``, ``g_s(v) = v + v C_s D_s``,
    ``A_s, C_s [d, r]`` and ``B_s, D_s [r, d]``. ``B`` and ``D`` start at zero. As
    ``<h, v C D> = <h D^T, v C>``, an item gets ``r`` coordinates more a segment, not ``d``.

    Maps of one side alone can say the same whichever side it is, as ``<u A B, v> = <u, v B^T A^T>``; what
    differs is which factor starts at random. Maps of both sides make forms of rank ``2r``.

    Args:
        dim: Size of the vectors, ``d``.
        num_segments: ``S``.
        on: Whose vectors are mapped.
        rank: ``r``.
        dropout: Share of entries between the two maps dropped in training.
    """

    down: nn.Parameter
    up: nn.Parameter
    item_down: nn.Parameter
    item_up: nn.Parameter

    def __init__(
        self,
        dim: int,
        num_segments: int,
        *,
        on: Literal["users", "items", "both"] = "users",
        rank: PositiveInt = 4,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(dim, num_segments)
        self.on = on
        self.dropout = dropout
        for side in {"users": [""], "items": ["item_"], "both": ["", "item_"]}[on]:
            setattr(self, f"{side}down", nn.Parameter(torch.randn(num_segments, dim, rank) / dim**0.5))
            setattr(self, f"{side}up", nn.Parameter(torch.zeros(num_segments, rank, dim)))

    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """Users ``[B, d]`` adapted, items ``[I, d]`` as they are; with maps of items ``[.., d + S r]``."""
        shares = memberships.unsqueeze(-1)
        users, low = embeddings.users, None
        if self.on != "items":
            low = self._drop(torch.einsum("bd,sdr->bsr", users, self.down))
            users = users + torch.einsum("bsr,srd->bd", low * shares, self.up)
        if self.on == "users":
            return Embeddings(users, embeddings.items)
        own = torch.einsum("bd,srd->bsr", embeddings.users, self.item_up)
        if low is not None:
            own = own + torch.einsum("bsr,srd,sqd->bsq", low, self.up, self.item_up)
        items = self._drop(torch.einsum("id,sdr->isr", embeddings.items, self.item_down))
        return Embeddings(
            torch.cat([users, (own * shares).flatten(1)], dim=1),
            torch.cat([embeddings.items, items.flatten(1)], dim=1),
        )

    def _drop(self, low: Tensor) -> Tensor:
        return F.dropout(low, self.dropout, self.training)
