"""The graph of one process: its own users with all their edges, and every item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph
from gnnseg.ranks.group import Ranks


class _SharedPolynomial(torch.autograd.Function):
    """The polynomial of the whole adjacency, of which each process holds the rows of its users.

    Forward, the items' rows of a product are sums over the processes. Backward, the items' rows of a gradient
    are what each process knows of it, and their sum is taken before each product: the adjoint of the forward
    pass, as the adjacency is symmetric. Both take one sum of ``[I, d]`` for each power. The items' rows of
    the result of the backward pass are not summed yet, as those of any replicated parameter.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: RankGraph, weights: tuple[float, ...]) -> Tensor:
        ctx.graph, ctx.weights = graph, weights
        result = x if weights[-1] == 1 else x * weights[-1]
        for weight in reversed(weights[:-1]):
            result = graph.adjacency @ result
            graph.sum_items_(result)
            if weight:
                result.add_(x, alpha=weight)
        return result

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        graph, grad = ctx.graph, grads[0].contiguous()
        result = grad * ctx.weights[-1]
        for weight in reversed(ctx.weights[:-1]):
            graph.sum_items_(result)
            product = graph.adjacency @ result
            result = product.add_(grad, alpha=weight) if weight else product
        return result, None, None


class RankGraph(BipartiteGraph):
    """Some users with all their edges, and all items; propagation is that of the whole graph.

    Users are rows ``0 .. u-1`` of this process. Items and their vectors are the same in all processes, which
    must call :meth:`propagate` together.

    Args:
        biadjacency: Of the process's own users, ``[u, I]``.
        item_degrees: Of the whole graph, ``[I]``.
        ranks: The processes.
        edges_before: Edges of the processes before this one.
        whole_edges: Edges of all processes.
        device: Where propagation runs.
    """

    def __init__(
        self,
        biadjacency: sp.csr_matrix,
        item_degrees: np.ndarray,
        ranks: Ranks,
        edges_before: int,
        whole_edges: int,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(biadjacency, device, item_degrees)
        self.ranks = ranks
        self.edges_before = edges_before
        self._whole_edges = whole_edges

    @property
    def num_edges(self) -> int:
        """Different user-item pairs of all processes."""
        return self._whole_edges

    @property
    def own_edges(self) -> int:
        """Different user-item pairs of this process."""
        count: int = self._biadjacency.nnz
        return count

    def to(self, device: torch.device | str) -> BipartiteGraph:
        """The same graph, if it is there already.

        Raises:
            ConfigError: If it is not.
        """
        if torch.device(device) != self.device:
            raise ConfigError(f"the graph of a process stays on its device {self.device} (got {device})")
        return self

    def propagate(
        self, x: Tensor, weights: Sequence[float] = (0.0, 1.0), adjacency: Tensor | None = None
    ) -> Tensor:
        """As :meth:`BipartiteGraph.propagate`, of the whole graph.

        Args:
            x: The process's own users above all items, ``[u+I, d]``.
            weights: ``w_0 .. w_K``.
            adjacency: Must be None.

        Raises:
            ConfigError: For another adjacency.
        """
        if adjacency is not None:
            raise ConfigError("several processes cannot leave out edges; set 'edge_dropout' to 0")
        result: Tensor = _SharedPolynomial.apply(x, self, tuple(weights))
        return result

    def sum_items_(self, x: Tensor) -> None:
        """Sum the items' rows of ``x [u+I, d]`` over all processes, in place."""
        self.ranks.sum_(x[self.num_users :], "propagation")
