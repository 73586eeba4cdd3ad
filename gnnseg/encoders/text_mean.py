"""Items by their text, users by their items; nothing is trained."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnseg.components import PositiveInt
from gnnseg.encoders.base import Encoder, Parts, history_of, principal_components
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings


class TextMean(Encoder):
    """Items are principal components of their features (Pearson 1901), users the mean of their items.

    The first steps of the plain pipeline that articles on user segmentation have. All components are brought
    to a common standard deviation of 1, which changes no direction and no cluster.

    Args:
        num_users: ``U``.
        num_items: ``I``.
        item_features: ``[I, f]``.
        dim: Components, ``d``; beyond ``f`` they are zero.

    Raises:
        ConfigError: Without item features.
    """

    item_features: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        item_features: Tensor | None = None,
        *,
        dim: PositiveInt = 64,
    ) -> None:
        super().__init__(dim)
        if item_features is None:
            raise ConfigError("TextMean needs item features; give the config a 'text'")
        none = item_features.new_zeros(num_items, dim)
        self.register_buffer("item_features", principal_components(item_features, none, 1.0))

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Vectors of all users ``[U, d]`` and all items ``[I, d]``; zero for users without items."""
        items = self.item_features
        nobody = items.new_zeros(graph.num_users, self.dim)
        return Embeddings(graph.unstack(graph.mean(torch.cat([nobody, items]))).users, items)

    @torch.no_grad()
    def parts(self, graph: BipartiteGraph, user: int) -> Parts:
        """The mean of the user's items, and nothing else."""
        items = self.item_features[history_of(graph, user)]
        none = self.item_features.new_zeros(self.dim)
        return Parts(none, items / max(1, len(items)), none)
