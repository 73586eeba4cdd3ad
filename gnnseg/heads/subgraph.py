"""Propagation over the links of each segment's own users."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnseg.errors import NotFittedError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.heads.base import SegmentHead


class SubgraphPropagation(SegmentHead):
    """``<u, v> + sum_s p_s c_s <u, (N_s^T U)_i>``: items as the users of the segment make them.

    ``N_s = D_u^-1/2 (P_s R) D_i^-1/2`` are the links of the segment's users, each as much as its user belongs
    to ``s``; all ``N_s`` together are the normalised graph, so one layer of LightGCN (arXiv 2002.02126,
    equation 3) is divided among the segments. Degrees are those of the whole graph: by their own, an item
    that is all but unknown in a segment would weigh as much there as one that everybody has. Only the gates
    ``c_s`` are learned; they start at zero.

    A pair of the training graph has the user's own vector on both sides, which no held-out pair has, so gates
    fitted on training pairs come out too large; stopping by validation is what keeps them.

    Args:
        dim: Size of the vectors, ``d``.
        num_segments: ``S``. Vectors become ``(S + 1) d`` long.
    """

    shares: Tensor

    def __init__(self, dim: int, num_segments: int) -> None:
        super().__init__(dim, num_segments)
        self.gates = nn.Parameter(torch.zeros(num_segments))
        self._graph: BipartiteGraph | None = None
        # not in the state: a saved run holds memberships and graph already
        self.register_buffer("shares", torch.zeros(0, num_segments), persistent=False)

    def bind(self, graph: BipartiteGraph, memberships: Tensor) -> None:
        """Keep the graph and how much each of its users belongs to each segment."""
        self._graph = graph
        self.shares = memberships.detach().to(graph.device)

    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """All users ``[U, (S+1) d]`` and items ``[I, (S+1) d]``.

        Raises:
            NotFittedError: Before :meth:`bind`.
        """
        graph = self._graph
        if graph is None:
            raise NotFittedError("SubgraphPropagation knows no graph yet; call bind first")
        items, nothing = [embeddings.items], torch.zeros_like(embeddings.items)
        for share in self.shares.T:
            sent = torch.cat([embeddings.users * share.unsqueeze(1), nothing])
            items.append(graph.unstack(graph.propagate(sent)).items)
        return Embeddings(self._users(embeddings.users, memberships), torch.cat(items, dim=1))

    def fold_in(self, embeddings: Embeddings, memberships: Tensor) -> Tensor:
        """Users who were not there, ``[B, (S+1) d]``; items stay as the graph's users make them."""
        return self._users(embeddings.users, memberships)

    def _users(self, users: Tensor, memberships: Tensor) -> Tensor:
        own = (memberships * self.gates).unsqueeze(-1) * users.unsqueeze(1)
        return torch.cat([users, own.flatten(1)], dim=1)
