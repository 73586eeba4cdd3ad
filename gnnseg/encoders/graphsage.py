"""Propagation with learned linear maps, which makes use of text for items without links."""

from __future__ import annotations

from typing import Any

import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.components import PositiveInt, Probability
from gnnseg.encoders.base import GraphEncoder, history_matrix
from gnnseg.graph import BipartiteGraph, Embeddings


class GraphSAGE(GraphEncoder):
    """Mean aggregation over all neighbours (Hamilton et al., arXiv 1706.02216, algorithm 1).

    ``h_v <- act(W_neighbours mean(h_u) + b + W_self h_v)``, as PyG's ``SAGEConv``; the last layer has
    no activation. It departs from the paper in using every neighbour and in not normalising vectors.
    With ``skip`` each layer is added to its input, and starts as the identity plus a small change.

    Args:
        num_users: ``U``.
        num_items: ``I``.
        item_features: ``[I, f]``, or None.
        num_layers: ``L``.
        dropout: Share of inputs of each layer set to zero in training.
        skip: Add each layer's input to its output.
        kwargs: Hyper-parameters of :class:`GraphEncoder`.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        item_features: Tensor | None = None,
        *,
        num_layers: PositiveInt = 2,
        dropout: Probability = 0.0,
        skip: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_users, num_items, item_features, **kwargs)
        self.dropout = dropout
        self.skip = skip
        self.neighbours = nn.ModuleList(nn.Linear(self.dim, self.dim) for _ in range(num_layers))
        self.self_maps = nn.ModuleList(nn.Linear(self.dim, self.dim, bias=False) for _ in range(num_layers))

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Vectors of all users ``[U, d]`` and all items ``[I, d]``."""
        x = self.inputs()
        for layer in range(len(self.neighbours)):
            x = F.dropout(x, self.dropout, self.training)
            x = self._layer(layer, x, graph.mean(x))
        return graph.unstack(x)

    @torch.no_grad()
    def fold_in(self, graph: BipartiteGraph, histories: sp.csr_matrix) -> Tensor:
        """The layers applied to a new row that starts from the mean of its items."""
        x = self.inputs()
        matrix = history_matrix(histories, 1.0, x)
        new: Tensor = matrix @ graph.unstack(x).items
        for layer in range(len(self.neighbours)):
            new = self._layer(layer, new, matrix @ graph.unstack(x).items)
            x = self._layer(layer, x, graph.mean(x))
        return new

    def _layer(self, layer: int, x: Tensor, neighbours: Tensor) -> Tensor:
        out: Tensor = self.neighbours[layer](neighbours) + self.self_maps[layer](x)
        if layer + 1 < len(self.neighbours):
            out = F.relu(out)
        return x + out if self.skip else out
