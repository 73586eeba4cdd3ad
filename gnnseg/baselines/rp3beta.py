"""Random walks of three steps from the user."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from gnnseg.baselines.base import ItemItem, weighted
from gnnseg.components import NonNegativeFloat, PositiveInt
from gnnseg.sparse import largest

BLOCK_PAIRS = 2**23
"""Pairs of items held at once, at most, if one user has everything."""


class RP3beta(ItemItem):
    """Three-step walks, popular ends made less likely (Paudel et al. 2017, doi 10.1145/2955101).

    The weight of item ``i`` for item ``j`` is ``sum_u (1/d_i)^alpha (1/d_u)^alpha / d_j^beta`` over the users
    ``u`` of both: ``alpha`` is the exponent of the transition probabilities in P3alpha, ``beta`` that of the
    degree in RP3beta. The first step, to each item of the user with the same probability, is left out: it
    does not change the order of a user's items. Departures: an item does not speak for itself, and only the
    nearest items are kept.

    Args:
        alpha: Exponent of the transition probabilities.
        beta: Exponent of the degree of the item where a walk ends.
        num_neighbors: For each item, how many of the items that speak for it are kept: those of the largest
            weight.
    """

    def __init__(
        self, *, alpha: NonNegativeFloat = 1.0, beta: NonNegativeFloat = 0.6, num_neighbors: PositiveInt = 100
    ) -> None:
        self.alpha = alpha
        self.beta = beta
        self.num_neighbors = num_neighbors

    def item_weights(self, matrix: sp.csr_matrix, user_weights: np.ndarray | None = None) -> sp.csr_matrix:
        """Multiply the transitions in blocks of items."""
        counted, size = weighted(matrix, user_weights), matrix.shape[1]
        users = np.maximum(np.diff(matrix.indptr), 1).astype(np.float64)
        items = np.asarray(counted.sum(0), dtype=np.float64).ravel()
        items = np.where(items > 0, items, 1.0)
        to_item = (sp.diags(users**-self.alpha) @ counted @ sp.diags(items**-self.alpha)).tocsr()
        ends = (sp.diags(items**-self.beta) @ matrix.T).tocsr()
        step = max(1, BLOCK_PAIRS // size)
        blocks = []
        for start in range(0, size, step):
            reached = (ends[start : start + step] @ to_item).tocsr()
            own = np.repeat(np.arange(reached.shape[0]) + start, np.diff(reached.indptr))
            reached.data[own == reached.indices] = 0
            reached.eliminate_zeros()
            blocks.append(largest(reached, self.num_neighbors))
        return sp.vstack(blocks, format="csr").T.tocsr()
