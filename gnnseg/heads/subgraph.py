"""Propagation over the links of each segment's own users."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from gnnseg.errors import NotFittedError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.heads.base import SegmentHead


class SubgraphPropagation(SegmentHead):
    """``<u, v> + sum_s p_s c_s <u, (N_s^T U)_i>``: items as the users of the segment make them.

    ``N_s = D_u^-1/2 (P_s R) D_i^-1/2`` is the normalised graph whose links weigh as much as their user
    belongs to ``s``, with degrees in that graph: for hard segments one layer of LightGCN (arXiv 2002.02126,
    equation 3) on the segment's own links. Only the gates ``c_s`` are learned; they start at zero.

    A pair of the training graph has the user's own vector on both sides, which no held-out pair has, so gates
    fitted on training pairs come out too large; stopping by validation is what keeps them.

    Args:
        dim: Size of the vectors, ``d``.
        num_segments: ``S``. Vectors become ``(S + 1) d`` long.
    """

    senders: Tensor
    receivers: Tensor

    def __init__(self, dim: int, num_segments: int) -> None:
        super().__init__(dim, num_segments)
        self.gates = nn.Parameter(torch.zeros(num_segments))
        self._graph: BipartiteGraph | None = None
        # not in the state: they follow from graph and memberships, which a saved run holds already
        self.register_buffer("senders", torch.zeros(num_segments, 0), persistent=False)
        self.register_buffer("receivers", torch.zeros(num_segments, 0), persistent=False)

    def bind(self, graph: BipartiteGraph, memberships: Tensor) -> None:
        """Keep the graph, and how much each user and item weighs in each segment."""
        shares = memberships.cpu().double().numpy()
        inside = graph.biadjacency().T @ shares  # degrees of items in each segment, [I, S]
        whole = np.bincount(graph.biadjacency().indices, minlength=graph.num_items)[:, None]
        ratio = np.divide(whole, inside, out=np.zeros_like(inside), where=inside > 0)
        # An entry of N_s is p^1/2 (d_u d_is)^-1/2, of which the graph's own propagation has (d_u d_i)^-1/2.
        self.senders, self.receivers = (
            torch.from_numpy(np.sqrt(part).T.copy()).float().to(graph.device) for part in (shares, ratio)
        )
        self._graph = graph

    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """All users ``[U, (S+1) d]`` and items ``[I, (S+1) d]``."""
        graph = self._graph
        if graph is None:
            raise NotFittedError("SubgraphPropagation knows no graph yet; call bind first")
        items = [embeddings.items]
        for sender, receiver in zip(self.senders, self.receivers, strict=True):
            sent = embeddings.users * sender.unsqueeze(1)
            sent = torch.cat([sent, torch.zeros_like(embeddings.items)])
            items.append(graph.unstack(graph.propagate(sent)).items * receiver.unsqueeze(1))
        return Embeddings(self._users(embeddings.users, memberships), torch.cat(items, dim=1))

    def fold_in(self, embeddings: Embeddings, memberships: Tensor) -> Tensor:
        """Users who were not there, ``[B, (S+1) d]``; items stay as the graph's users make them."""
        return self._users(embeddings.users, memberships)

    def _users(self, users: Tensor, memberships: Tensor) -> Tensor:
        own = (memberships * self.gates).unsqueeze(-1) * users.unsqueeze(1)
        return torch.cat([users, own.flatten(1)], dim=1)
