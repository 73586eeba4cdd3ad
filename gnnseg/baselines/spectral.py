"""The normalised biadjacency matrix and its spectrum, for graph filters."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def normalised(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """``D_u^-1/2 R D_i^-1/2`` of a binary matrix ``[U, I]``, in float64."""
    users = 1 / np.sqrt(np.maximum(np.diff(matrix.indptr), 1))
    items = 1 / np.sqrt(item_degrees(matrix))
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
