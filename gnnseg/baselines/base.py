"""Models without embeddings, fitted in one go."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import scipy.sparse as sp

from gnnseg.components import Component
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import ItemGraph, Scorer


class Baseline(Component, ABC):
    """A recommender that is fitted in closed form or by counting."""

    @abstractmethod
    def fit(self, graph: BipartiteGraph) -> Scorer:
        """Learn from the training graph.

        Args:
            graph: ``U`` users, ``I`` items.

        Returns:
            A scorer for the graph's users.
        """


class ItemItem(Baseline):
    """A baseline that is an item-item matrix applied to histories."""

    @abstractmethod
    def item_weights(
        self, matrix: sp.csr_matrix, user_weights: np.ndarray | None = None
    ) -> np.ndarray | sp.csr_matrix:
        """The item-item matrix.

        Args:
            matrix: Binary interactions, ``[U, I]``.
            user_weights: How much each user counts, at least 0, ``[U]``; None for all alike. A weight of 2 is
                as if the user were there twice, where a model says nothing else.

        Returns:
            ``[I, I]``, dense or sparse; entry ``(i, j)`` is what having ``i`` says of ``j``.
        """

    def fit(self, graph: BipartiteGraph) -> Scorer:
        """Compute the item-item matrix."""
        matrix = graph.biadjacency()
        return ItemGraph.build(matrix, self.item_weights(matrix))


def weighted(matrix: sp.csr_matrix, user_weights: np.ndarray | None) -> sp.csr_matrix:
    """Rows of ``matrix [U, I]`` times the users' weights, in float64; as it is without any."""
    if user_weights is None:
        return matrix
    return sp.csr_matrix(sp.diags(np.asarray(user_weights, dtype=np.float64)) @ matrix)
