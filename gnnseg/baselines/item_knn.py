"""Items that share users with the user's items."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from gnnseg.baselines.base import ItemItem, weighted
from gnnseg.components import NonNegativeFloat, PositiveInt
from gnnseg.sparse import largest


class ItemKNN(ItemItem):
    """Cosine similarity of items, the nearest kept (Sarwar et al. 2001, doi 10.1145/371920.372071).

    Args:
        num_neighbors: Nearest items kept for each item.
        shrinkage: Added to the denominator of the cosine, against similarities from few users.
    """

    def __init__(self, *, num_neighbors: PositiveInt = 100, shrinkage: NonNegativeFloat = 10.0) -> None:
        self.num_neighbors = num_neighbors
        self.shrinkage = shrinkage

    def item_weights(self, matrix: sp.csr_matrix, user_weights: np.ndarray | None = None) -> sp.csr_matrix:
        """Compute similarities in blocks of items."""
        counted = weighted(matrix, user_weights)
        items = counted.T.tocsr()
        norms = np.sqrt(np.asarray(items.sum(1), dtype=np.float64).ravel())
        blocks = []
        for start in range(0, matrix.shape[1], 2048):
            together = np.asarray((items[start : start + 2048] @ matrix).todense())
            rows = np.arange(len(together))
            together[rows, start + rows] = 0
            similarity = together / (np.outer(norms[start : start + 2048], norms) + self.shrinkage + 1e-12)
            blocks.append(largest(similarity, self.num_neighbors))
        return sp.vstack(blocks, format="csr").T.tocsr()
