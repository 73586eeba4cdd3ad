"""The normalised biadjacency matrix, its spectrum, and edges held out of it, for graph filters."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def normalised(
    matrix: sp.csr_matrix, user_exponent: float = 0.5, item_exponent: float = 0.5
) -> sp.csr_matrix:
    """``D_u^-a R D_i^-b`` of a binary matrix ``[U, I]``, in float64."""
    users = np.maximum(np.diff(matrix.indptr), 1).astype(np.float64) ** -user_exponent
    items = item_degrees(matrix) ** -item_exponent
    values = np.repeat(users, np.diff(matrix.indptr)) * items[matrix.indices]
    return sp.csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def item_degrees(matrix: sp.csr_matrix) -> np.ndarray:
    """Users of each item, ``[I]`` float64, at least 1."""
    return np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1).astype(np.float64)


def right_singular(matrix: sp.csr_matrix, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest singular values and their right vectors (Halko et al., arXiv 0909.4061, always one seed).

    Args:
        matrix: ``[U, I]``.
        count: How many; never more than the rank.

    Returns:
        Singular values ``[d]``, largest first, and right vectors ``[I, d]``, in float64.
    """
    from sklearn.utils.extmath import randomized_svd

    _, values, vectors = randomized_svd(matrix, min(count, *matrix.shape), random_state=0)
    kept = values > 1e-6 * max(values[0], 1e-6)
    return values[kept], np.ascontiguousarray(vectors[kept].T)


def hold_out(matrix: sp.csr_matrix, share: float, seed: int = 0) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Divide the entries of a matrix at random.

    A filter that is fitted on the edges it is made of learns to repeat them; it must predict others.

    Args:
        matrix: Binary, ``[U, I]``.
        share: Of entries held out, 0 to 1.
        seed: Of the draw; filters are always fitted with one.

    Returns:
        The matrix without the entries held out, and those alone, both ``[U, I]``.
    """
    held = np.random.default_rng(seed).random(matrix.nnz) < share
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    parts = [
        sp.csr_matrix((matrix.data[which], (rows[which], matrix.indices[which])), shape=matrix.shape)
        for which in (~held, held)
    ]
    return parts[0], parts[1]
