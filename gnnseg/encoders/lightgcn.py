"""Propagation without transformations or activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.components import NonNegativeInt, Probability
from gnnseg.encoders.base import GraphEncoder, Parts, history_matrix, history_of
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings


class LightGCN(GraphEncoder):
    """``sum_k (D^-1/2 A D^-1/2)^k E / (L+1)`` (He et al., arXiv 2002.02126, equations 3, 4 and 8).

    Args:
        num_users: ``U``.
        num_items: ``I``.
        item_features: ``[I, f]``, or None.
        num_layers: ``L``.
        include_input: Whether layer 0 is in the mean; SimGCL and XSimGCL leave it out.
        edge_dropout: Share of edges left out of each pass in training, both directions together, while the
            others are divided by ``1 - edge_dropout``; the authors' code drops each direction by itself.
        message_dropout: Share of each propagated layer set to zero in training, as in NGCF (1905.08108).
        kwargs: Hyper-parameters of :class:`GraphEncoder`.

    Raises:
        ConfigError: For neither a layer nor the input.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        item_features: Tensor | None = None,
        *,
        num_layers: NonNegativeInt = 3,
        include_input: bool = True,
        edge_dropout: Probability = 0.0,
        message_dropout: Probability = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_users, num_items, item_features, **kwargs)
        if not (num_layers or include_input):
            raise ConfigError("LightGCN without its input needs a layer (got num_layers 0); raise num_layers")
        self.num_layers = num_layers
        self.edge_dropout = edge_dropout
        self.message_dropout = message_dropout
        kept = num_layers + include_input
        self.weights = [1 / kept if layer or include_input else 0.0 for layer in range(num_layers + 1)]

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Vectors of all users ``[U, d]`` and all items ``[I, d]``."""
        if self.training and self.message_dropout:
            return self.combine(graph, self.layers(graph))
        return graph.unstack(graph.propagate(self.inputs(), self.weights, self._adjacency(graph)))

    def layers(
        self, graph: BipartiteGraph, perturb: Callable[[Tensor], Tensor] | None = None
    ) -> list[Tensor]:
        """Layers ``0 .. L`` one by one, with dropout in training.

        Args:
            graph: The graph.
            perturb: What each propagated layer goes through before it is propagated on.

        Returns:
            ``L + 1`` tensors, users above items, ``[U+I, d]``.
        """
        adjacency = self._adjacency(graph)
        layers = [self.inputs()]
        for _ in range(self.num_layers):
            layer = graph.propagate(layers[-1], adjacency=adjacency)
            layer = F.dropout(layer, self.message_dropout, self.training)
            layers.append(layer if perturb is None else perturb(layer))
        return layers

    def combine(self, graph: BipartiteGraph, layers: list[Tensor]) -> Embeddings:
        """The mean of layers ``0 .. L`` that is the encoder's result."""
        total = sum(weight * layer for weight, layer in zip(self.weights, layers, strict=True) if weight)
        return graph.unstack(torch.as_tensor(total))

    def _adjacency(self, graph: BipartiteGraph) -> Tensor | None:
        """With edges dropped in training, or None for the graph's own."""
        return graph.dropped(self.edge_dropout) if self.training and self.edge_dropout else None

    @torch.no_grad()
    def fold_in(self, graph: BipartiteGraph, histories: sp.csr_matrix) -> Tensor:
        """As if the new user stood in the graph with a zero input: equation 3 for its row."""
        weights = self.weights[1:] or self.weights
        below = graph.propagate(self.inputs(), weights) / graph.degrees.clamp(min=1).sqrt().unsqueeze(1)
        matrix = history_matrix(histories, 0.5, below)
        result: Tensor = matrix @ graph.unstack(below).items
        return result

    @torch.no_grad()
    def parts(self, graph: BipartiteGraph, user: int) -> Parts:
        """By input vectors; propagation is linear and symmetric, so one column of it holds their weights."""
        inputs = self.inputs()
        one = inputs.new_zeros(graph.num_nodes, 1)
        one[user] = 1
        added = graph.propagate(one, self.weights) * inputs
        items = graph.num_users + history_of(graph, user)
        others = added.double().sum(0) - added[user] - added[items].double().sum(0)
        return Parts(added[user], added[items], others.to(added))
