"""A small network for each group, as articles on user segmentation have it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.components import PositiveInt, Probability
from gnnseg.graph import Embeddings
from gnnseg.heads.base import SegmentHead
from gnnseg.scoring import GroupNetworks, Scorer


class GroupMLP(SegmentHead):
    """``g <u, v> + sum_s p_s f_s(u * v)`` with ``f_s(x) = w_s . tanh(x W_s + a_s) + b_s``.

    A network of two layers for each group scores the elementwise product of both vectors, as in neural
    matrix factorisation (He et al., arXiv 1708.05031, equations 8 and 9); with ``d = 64`` and ``h = 128``
    its sizes are the (64, 128, 1) of the plain pipeline. Scores are no dot products: ranking costs ``d h``
    products a pair and group. ``w`` and ``b`` start at zero.

    Args:
        dim: Size of the vectors, ``d``.
        num_segments: ``S``.
        hidden: ``h``.
        dropout: Share of hidden values dropped in training.
        add_global: With ``g = 1`` the networks correct the global model, and start as it. Without, they are
            on their own, as published: ``g = 0`` but for users in no segment, and every score starts at 0.
    """

    is_dot_product = False

    def __init__(
        self,
        dim: int,
        num_segments: int,
        *,
        hidden: PositiveInt = 128,
        dropout: Probability = 0.0,
        add_global: bool = True,
    ) -> None:
        super().__init__(dim, num_segments)
        self.dropout = dropout
        self.add_global = add_global
        self.starts_as_global = add_global
        self.hidden = nn.Parameter(torch.randn(num_segments, dim, hidden) / dim**0.5)
        self.hidden_bias = nn.Parameter(torch.zeros(num_segments, hidden))
        self.output = nn.Parameter(torch.zeros(num_segments, hidden))
        self.output_bias = nn.Parameter(torch.zeros(num_segments))

    def forward(self, embeddings: Embeddings, memberships: Tensor) -> Embeddings:
        """Users with memberships and ``g``, ``[B, d + S + 1]``; items ``[I, d]`` unchanged."""
        outside = (memberships.sum(1, keepdim=True) == 0).to(embeddings.users)
        dots = torch.ones_like(outside) if self.add_global else outside
        return Embeddings(torch.cat([embeddings.users, memberships, dots], dim=1), embeddings.items)

    def product(self, users: Tensor, items: Tensor) -> Tensor:
        """``[..., d + S + 1]`` and ``[..., d]`` to ``[...]``."""
        vectors, memberships, dots = users.split([self.dim, self.num_segments, 1], dim=-1)
        pairs = vectors * items
        scores: Tensor = pairs.sum(-1) * dots.squeeze(-1)
        for group in range(self.num_segments):
            values = torch.tanh(pairs @ self.hidden[group] + self.hidden_bias[group])
            values = F.dropout(values, self.dropout, self.training)
            found = values @ self.output[group] + self.output_bias[group]
            scores = scores + memberships[..., group] * found
        return scores

    def scorer(self, embeddings: Embeddings) -> Scorer:
        """Of users ``[U, d + S + 1]`` and items ``[I, d]``."""
        vectors, memberships, dots = embeddings.users.split([self.dim, self.num_segments, 1], dim=1)
        layers = (self.hidden, self.hidden_bias, self.output, self.output_bias)
        return GroupNetworks(vectors, embeddings.items, memberships, dots.squeeze(1), *layers)
