"""Propagation without transformations or activations."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.components import NonNegativeInt
from gnnseg.encoders.base import GraphEncoder, history_matrix
from gnnseg.graph import BipartiteGraph, Embeddings


class LightGCN(GraphEncoder):
    """``sum_k (D^-1/2 A D^-1/2)^k E / (L+1)`` (He et al., arXiv 2002.02126, equations 3, 4 and 8).

    Args:
        num_users: ``U``.
        num_items: ``I``.
        item_features: ``[I, f]``, or None.
        num_layers: ``L``.
        kwargs: Hyper-parameters of :class:`GraphEncoder`.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        item_features: Tensor | None = None,
        *,
        num_layers: NonNegativeInt = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_users, num_items, item_features, **kwargs)
        self.num_layers = num_layers

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Vectors of all users ``[U, d]`` and all items ``[I, d]``."""
        weights = [1 / (self.num_layers + 1)] * (self.num_layers + 1)
        return graph.unstack(graph.propagate(self.inputs(), weights))

    @torch.no_grad()
    def fold_in(self, graph: BipartiteGraph, histories: sp.csr_matrix) -> Tensor:
        """As if the new user stood in the graph with a zero input: equation 3 for its row.

        Args:
            graph: The graph the encoder was trained on.
            histories: Items of the new users, ``[B, I]``.

        Returns:
            ``[B, d]``.
        """
        weights = [1 / (self.num_layers + 1)] * max(1, self.num_layers)
        below = graph.propagate(self.inputs(), weights) / graph.degrees.clamp(min=1).sqrt().unsqueeze(1)
        matrix = history_matrix(histories, 0.5, below)
        result: Tensor = matrix @ graph.unstack(below).items
        return result
