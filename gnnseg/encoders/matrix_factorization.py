"""No propagation: the baseline that shows what the graph adds."""

from __future__ import annotations

import torch

from gnnseg.encoders.base import GraphEncoder, Parts, history_of
from gnnseg.graph import BipartiteGraph, Embeddings


class MatrixFactorization(GraphEncoder):
    """One free vector a user and an item (Koren et al. 2009, doi 10.1109/MC.2009.263).

    Its hyper-parameters are those of :class:`GraphEncoder`.

    Args:
        num_users: ``U``.
        num_items: ``I``.
        item_features: ``[I, f]``, or None.
    """

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Vectors of all users ``[U, d]`` and all items ``[I, d]``."""
        return graph.unstack(self.inputs())

    @torch.no_grad()
    def parts(self, graph: BipartiteGraph, user: int) -> Parts:
        """All of it is the user's own."""
        own = self.users.weight[user]
        return Parts(own, own.new_zeros(len(history_of(graph, user)), self.dim), torch.zeros_like(own))
