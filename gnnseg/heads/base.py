"""Embeddings adapted to segments."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from gnnseg.components import Component
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.scoring import DotProduct, Scorer


class SegmentHead(Component, nn.Module, ABC):
    """Conditions embeddings on segment memberships; starts as the identity.

    Scores are dot products of what it returns, whose vectors may become longer; the first ``d`` coordinates
    stay those of the incoming vectors' product. A head whose scores are none says so (``is_dot_product``) and
    has its own :meth:`product` and :meth:`scorer`.

    A user in no segment, whose memberships are all zero, gets exactly the scores of the global model.

    Args:
        dim: Size of the incoming vectors, ``d``.
        num_segments: ``S``.

    Attributes:
        is_dot_product: Whether scores are dot products of the adapted vectors.
        starts_as_global: Whether scores are the global model's before training.
    """

    is_dot_product: bool = True
    starts_as_global: bool = True

    def __init__(self, dim: int, num_segments: int) -> None:
        super().__init__()
        self.dim = dim
        self.num_segments = num_segments

    def bind(self, graph: BipartiteGraph, memberships: Tensor) -> None:
        """Take from the graph what the head needs, once, before it is trained or loaded; here nothing.

        Args:
            graph: The training graph.
            memberships: Of its users, ``[U, S]``.
        """

    @abstractmethod
    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """Adapt the vectors.

        Args:
            embeddings: Users ``[B, d]`` and items ``[I, d]``.
            memberships: Rows sum to one, or to zero for users in no segment, ``[B, S]``.

        Returns:
            Users ``[B, e]`` and items ``[I, e]``.
        """

    def fold_in(self, embeddings: Embeddings, memberships: Tensor) -> Tensor:
        """Adapt users who were not there; here as all others.

        Args:
            embeddings: The new users ``[B, d]`` and all items ``[I, d]``.
            memberships: ``[B, S]``.

        Returns:
            ``[B, e]``.
        """
        return self(embeddings, memberships).users  # type: ignore[no-any-return]

    def product(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of pairs of adapted vectors, ``[..., e]`` and ``[..., e]`` to ``[...]``; differentiable."""
        return (users * items).sum(-1)

    def scorer(self, embeddings: Embeddings) -> Scorer:
        """Scores of adapted vectors, users ``[U, e]`` and items ``[I, e]``."""
        return DotProduct.of(*embeddings, self.dim)

    def extra_repr(self) -> str:
        """Shown by ``print``."""
        return f"dim={self.dim}, num_segments={self.num_segments}"
