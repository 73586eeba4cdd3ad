"""Linear item-item models: each item from all others in closed form, or from its neighbours alone."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from gnnseg.baselines.base import ItemItem, weighted
from gnnseg.components import NonNegativeFloat, PositiveFloat, PositiveInt, Probability
from gnnseg.errors import DataError
from gnnseg.memory import require
from gnnseg.spectral import item_degrees, normalised

INVERSION = 32
"""Bytes an entry of the item-item matrix: the counts, their inverse, and a copy of both inside LAPACK."""

CHUNK = 2**21
"""Entries of the item-item counts looked up at once."""


class EASE(ItemItem):
    """Ridge regression of each item on all others (Steck, arXiv 1905.03375, equation 8).

    With ``G`` the item-item counts and ``P = (G + L)^-1``, the weights are ``-P_ij / P_jj`` off the diagonal,
    0 on it; published is ``L = regularization I``. ``dropout`` adds ``p / (1 - p) diag(G)`` to ``L``, which
    is what training on histories with a share ``p`` of their items dropped would give in expectation
    (Steck, NeurIPS 2020, "Autoencoders that don't overfit towards the identity"). The exponents let ``G``
    count ``D_u^-a R D_i^-b`` instead of ``R``, as normalisation for linear autoencoders does (Park et al.,
    arXiv 2504.05805): long histories and popular items weigh less.

    Args:
        regularization: ``lambda``, on the diagonal of the item-item counts.
        dropout: ``p``.
        user_exponent: ``a``.
        item_exponent: ``b``; scores are multiplied by ``D_i^b`` again. ``D_i`` counts every user of an item
            once, whatever the weights of users.
        max_items: Refuse larger catalogues: time grows with the cube, memory with the square of the items.
    """

    def __init__(
        self,
        *,
        regularization: PositiveFloat = 500.0,
        dropout: Probability = 0.0,
        user_exponent: NonNegativeFloat = 0.0,
        item_exponent: NonNegativeFloat = 0.0,
        max_items: PositiveInt = 20_000,
    ) -> None:
        self.regularization = regularization
        self.dropout = dropout
        self.user_exponent = user_exponent
        self.item_exponent = item_exponent
        self.max_items = max_items

    def item_weights(self, matrix: sp.csr_matrix, user_weights: np.ndarray | None = None) -> np.ndarray:
        """Invert the regularised item-item counts, in float64.

        Raises:
            DataError: If there are more items than ``max_items``.
            TooLargeError: If the matrices do not fit into memory.
        """
        size = matrix.shape[1]
        if size > self.max_items:
            raise DataError(
                f"EASE inverts a {size} x {size} matrix ({size**2 * 8 / 2**30:.0f} GiB); it is refused above "
                f"{self.max_items} items; use SparseEASE, or raise 'max_items'"
            )
        require(INVERSION * size**2, f"EASE's inverse of a {size} x {size} matrix", "use SparseEASE")
        links = normalised(matrix, self.user_exponent, self.item_exponent)
        counts = np.asarray((links.T @ weighted(links, user_weights)).todense(), dtype=np.float64)
        diagonal = np.diag_indices(size)
        counts[diagonal] += _penalty(counts[diagonal], self.regularization, self.dropout)
        weights: np.ndarray = np.linalg.inv(counts)
        del counts
        weights /= -np.diag(weights)
        np.fill_diagonal(weights, 0.0)
        scale = item_degrees(matrix) ** self.item_exponent
        weights /= scale[:, None]
        weights *= scale
        return weights


class SparseEASE(ItemItem):
    """Ridge regression of each item on its nearest items alone, for catalogues too large for :class:`EASE`.

    The neighbours of an item are those of the largest cosine, as in fsSLIM (Ning and Karypis 2011, doi
    10.1109/ICDM.2011.134, section IV.B); their weights solve ``(G_NN + L_NN) w = G_Nj`` exactly, with ``L``
    as in :class:`EASE`, without constraints on signs. Time grows with items times ``num_neighbors`` cubed.

    Args:
        num_neighbors: Other items that an item may depend on.
        regularization: ``lambda``.
        dropout: ``p``.
    """

    def __init__(
        self,
        *,
        num_neighbors: PositiveInt = 100,
        regularization: PositiveFloat = 100.0,
        dropout: Probability = 0.0,
    ) -> None:
        self.num_neighbors = num_neighbors
        self.regularization = regularization
        self.dropout = dropout

    def item_weights(self, matrix: sp.csr_matrix, user_weights: np.ndarray | None = None) -> sp.csr_matrix:
        """Find neighbours, then solve for all items in blocks."""
        counts = sp.csr_matrix(matrix.T @ weighted(matrix, user_weights), dtype=np.float64)
        counts.sort_indices()
        degrees = counts.diagonal()
        near, found = self._neighbors(counts, np.maximum(degrees, 1e-12))
        penalty = _penalty(degrees, self.regularization, self.dropout)
        size, width = near.shape
        keys = np.repeat(np.arange(size), np.diff(counts.indptr)) * size + counts.indices
        weights = np.zeros(near.shape)
        for first in range(0, size, step := max(1, CHUNK // max(1, width**2))):
            some = slice(first, first + step)
            rows, real = near[some], found[some]
            system = _lookup(keys, counts.data, rows[:, :, None] * size + rows[:, None, :])
            system *= real[:, :, None] & real[:, None, :]
            system[:, np.arange(width), np.arange(width)] += penalty[rows]
            targets = np.arange(size)[some, None]
            right = _lookup(keys, counts.data, rows * size + targets) * real
            weights[some] = np.linalg.solve(system, right[:, :, None])[:, :, 0]
        columns = np.repeat(np.arange(size), width)
        entries = (weights.ravel(), (near.ravel(), columns))
        return sp.csr_matrix(entries, shape=(size, size))

    def _neighbors(self, counts: sp.csr_matrix, degrees: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest items of each, ``[I, n]``, and which of them are real, where there are fewer."""
        size = counts.shape[0]
        width = max(1, min(self.num_neighbors, size - 1))
        near, found = np.zeros((size, width), dtype=np.int64), np.zeros((size, width), dtype=bool)
        for item in range(size):
            part = slice(counts.indptr[item], counts.indptr[item + 1])
            others = counts.indices[part]
            cosine = counts.data[part] / np.sqrt(degrees[others])
            cosine[others == item] = -1.0
            best = np.lexsort((others, -cosine))[:width]
            best = best[cosine[best] > 0]
            near[item, : len(best)], found[item, : len(best)] = others[best], True
        return near, found


def _penalty(degrees: np.ndarray, regularization: float, dropout: float) -> np.ndarray:
    """The diagonal of ``L``, ``[I]``."""
    penalty: np.ndarray = regularization + dropout / (1 - dropout) * degrees
    return penalty


def _lookup(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Entries of a sparse matrix by sorted keys ``row * columns + column``; 0 where there is none."""
    if not len(keys):
        return np.zeros(wanted.shape)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, values[place], 0.0)
