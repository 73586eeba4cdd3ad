"""Graphs to embeddings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import scipy.sparse as sp
import torch
from torch import Tensor, nn

from gnnseg.components import Component, PositiveFloat, PositiveInt
from gnnseg.graph import BipartiteGraph, Embeddings, csr_tensor


class Parts(NamedTuple):
    """A user's vector as a sum.

    Attributes:
        own: What belongs to the user alone, ``[d]``.
        items: What each of the user's own items adds, in the order of its history, ``[m, d]``.
        others: What all other nodes add, ``[d]``.
    """

    own: Tensor
    items: Tensor
    others: Tensor


class Encoder(Component, nn.Module, ABC):
    """Turns the graph into one vector a user and one an item.

    Attributes:
        dim: Size of the vectors, ``d``.
        item_features: Features that the encoder keeps, ``[I, f]``, or None.
        takes_features: Whether item features are of use to the class.
    """

    takes_features: ClassVar[bool] = True
    dim: int
    item_features: Tensor | None

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("item_features", None)

    @abstractmethod
    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Vectors of all users ``[U, d]`` and all items ``[I, d]``."""

    @torch.no_grad()
    def warm_start(self, graph: BipartiteGraph) -> None:
        """Take from the graph what training starts from; here nothing."""

    @torch.no_grad()
    def fold_in(self, graph: BipartiteGraph, histories: sp.csr_matrix) -> Tensor:
        """Vectors for users who were not there, from their items; here the mean of the items' vectors.

        Args:
            graph: The graph the encoder was trained on.
            histories: Items of the new users, ``[B, I]``.

        Returns:
            ``[B, d]``.
        """
        return _average(histories, self(graph).items)

    @torch.no_grad()
    def parts(self, graph: BipartiteGraph, user: int) -> Parts | None:
        """What the vector of a user of the graph is a sum of; None where it is no sum.

        Args:
            graph: The graph the encoder was trained on.
            user: A row.
        """
        return None

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"dim={self.dim}"


class GraphEncoder(Encoder):
    """An encoder with a free vector for each node.

    The input of node ``v`` is a free vector, a row of a table. With item features, items start from the
    features' first principal components, scaled to the spread of a random start, and users from the mean
    of their items (:meth:`warm_start`); the features can also stay as a second input through a linear map.

    Args:
        num_users: ``U``.
        num_items: ``I``.
        item_features: ``[I, f]``, or None to start at random.
        dim: Size of the vectors, ``d``.
        init_scale: Standard deviation of the inputs at the start.
        features_as: What features are for: the start of the items, a second input, or both.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        item_features: Tensor | None = None,
        *,
        dim: PositiveInt = 64,
        init_scale: PositiveFloat = 0.1,
        features_as: Literal["init", "input", "both"] = "init",
    ) -> None:
        super().__init__(dim)
        self.init_scale = init_scale
        self.users = nn.Embedding(num_users, dim)
        self.items = nn.Embedding(num_items, dim)
        nn.init.normal_(self.users.weight, std=init_scale)
        nn.init.normal_(self.items.weight, std=init_scale)
        self.starts_from_features = item_features is not None and features_as != "input"
        self.projection: nn.Linear | None = None
        if item_features is not None and features_as != "init":
            self.projection = nn.Linear(item_features.shape[1], dim, bias=False)
            self.register_buffer("item_features", item_features.clone())
        if item_features is not None and self.starts_from_features:
            with torch.no_grad():
                self.items.weight.copy_(principal_components(item_features, self.items.weight, init_scale))

    def inputs(self) -> Tensor:
        """Layer 0: users above items, ``[U+I, d]``."""
        items = self.items.weight
        if self.projection is not None:
            items = items + self.projection(self.item_features)
        return torch.cat([self.users.weight, items])

    @torch.no_grad()
    def warm_start(self, graph: BipartiteGraph) -> None:
        """Start users from the mean of their items, where items start from features."""
        if not self.starts_from_features:
            return
        means = graph.mean(self.inputs())[: graph.num_users]
        self.users.weight.copy_(means * (self.init_scale / means.std().clamp(min=1e-12)))


def history_of(graph: BipartiteGraph, user: int) -> Tensor:
    """Items of one user of a graph, ``[m]`` int64."""
    return torch.from_numpy(graph.biadjacency()[user].indices).long().to(graph.device)


def history_matrix(histories: sp.csr_matrix, power: float, like: Tensor) -> Tensor:
    """Histories ``[B, I]`` as a sparse tensor, each row divided by its length to ``power``."""
    lengths = torch.from_numpy(histories.getnnz(axis=1)).clamp(min=1).to(like)
    crow = torch.from_numpy(histories.indptr).to(like.device)
    col = torch.from_numpy(histories.indices).to(like.device)
    values = torch.repeat_interleave(lengths.pow(-power), crow.diff().long())
    return csr_tensor(crow, col, values, histories.shape)


def _average(histories: sp.csr_matrix, items: Tensor) -> Tensor:
    result: Any = history_matrix(histories, 1.0, items) @ items
    return result  # type: ignore[no-any-return]


def principal_components(features: Tensor, start: Tensor, scale: float) -> Tensor:
    """The first ``d`` principal components of ``features``, brought to one spread over all of them.

    Args:
        features: ``[I, f]``.
        start: ``[I, d]``; where ``d`` is above ``f``, its last columns are kept.
        scale: Standard deviation of all numbers together.

    Returns:
        ``[I, d]``.
    """
    centred = (features - features.mean(0)).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    order = values.argsort(descending=True)[: start.shape[1]]
    vectors = vectors[:, order]
    vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    projected = (centred @ vectors).float()
    projected = projected * (scale / projected.std().clamp(min=1e-12))
    return torch.cat([projected, start[:, projected.shape[1] :]], dim=1)
