"""A linear item-item model in closed form."""

from __future__ import annotations

import numpy as np

from gnnseg.baselines.base import Baseline
from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.errors import DataError
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import ItemGraph, Scorer


class EASE(Baseline):
    """Ridge regression of each item on all others (Steck, arXiv 1905.03375, equation 8).

    Args:
        regularization: ``lambda``, added to the diagonal of the item-item counts.
        max_items: Refuse larger catalogues: time grows with the cube, memory with the square of the items.
    """

    def __init__(self, *, regularization: PositiveFloat = 500.0, max_items: PositiveInt = 20_000) -> None:
        self.regularization = regularization
        self.max_items = max_items

    def fit(self, graph: BipartiteGraph) -> Scorer:
        """Invert the regularised item-item counts, in float64.

        Raises:
            DataError: If there are more items than ``max_items``.
        """
        size = graph.num_items
        if size > self.max_items:
            raise DataError(
                f"EASE inverts a {size} x {size} matrix ({size**2 * 8 / 2**30:.0f} GiB); it is refused above "
                f"{self.max_items} items; use ItemKNN, or raise 'max_items'"
            )
        matrix = graph.biadjacency()
        counts = np.asarray((matrix.T @ matrix).todense(), dtype=np.float64)
        counts[np.diag_indices(size)] += self.regularization
        precision = np.linalg.inv(counts)
        weights = precision / -np.diag(precision)
        np.fill_diagonal(weights, 0.0)
        return ItemGraph.build(matrix, weights)
