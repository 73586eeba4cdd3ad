"""A low-rank table of the items for each segment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.components import NonNegativeInt, Probability
from gnnseg.errors import ConfigError, NotFittedError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.heads.base import SegmentHead


class Experts(SegmentHead):
    """``<u, v> + sum_s p_s (<u A_s, w_si> + b_si)``: local models of low rank beside the global one.

    As in LLORMA (Lee et al. 2013, JMLR 28(2), equation 3) the scores are a sum of local low-rank ones by
    memberships, here on top of the global ones and with the users' vectors shared. Unlike a map of the items'
    vectors (LoRA), a free table can rank any two items otherwise, and takes ``S I (r + 1)`` parameters for
    it. ``A`` starts at random, ``w`` and ``b`` at zero.

    Args:
        dim: Size of the vectors, ``d``.
        num_segments: ``S``.
        rank: ``r``; 0 for the biases alone, a segment's own popularity of the items.
        bias: Whether there are biases ``b``.
        dropout: Share of entries of ``u A_s`` dropped in training.

    Raises:
        ConfigError: If there is neither a table nor a bias.
    """

    maps: nn.Parameter | None
    items: nn.Parameter | None
    biases: nn.Parameter | None

    def __init__(
        self,
        dim: int,
        num_segments: int,
        *,
        rank: NonNegativeInt = 4,
        bias: bool = True,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(dim, num_segments)
        if not (rank or bias):
            raise ConfigError("Experts without 'bias' needs a positive 'rank' (got 0)")
        self.rank = rank
        self.bias = bias
        self.dropout = dropout
        self.maps = nn.Parameter(torch.randn(num_segments, dim, rank) / dim**0.5) if rank else None
        self.register_parameter("items", None)
        self.register_parameter("biases", None)

    def bind(self, graph: BipartiteGraph, memberships: Tensor) -> None:
        """Make tables for the graph's items."""
        size = (self.num_segments, graph.num_items)
        if self.rank:
            self.items = nn.Parameter(torch.zeros(*size, self.rank, device=graph.device))
        if self.bias:
            self.biases = nn.Parameter(torch.zeros(size, device=graph.device))

    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """Users and items with ``S r`` coordinates more, and ``S`` for the biases.

        Raises:
            NotFittedError: Before :meth:`bind`.
        """
        users, items = [embeddings.users], [embeddings.items]
        if self.items is None and self.biases is None:
            raise NotFittedError("Experts knows no items yet; call bind first")
        if self.maps is not None and self.items is not None:
            low = F.dropout(
                torch.einsum("bd,sdr->bsr", embeddings.users, self.maps), self.dropout, self.training
            )
            users.append((low * memberships.unsqueeze(-1)).flatten(1))
            items.append(self.items.transpose(0, 1).flatten(1))
        if self.biases is not None:
            users.append(memberships)
            items.append(self.biases.T)
        return Embeddings(torch.cat(users, dim=1), torch.cat(items, dim=1))
