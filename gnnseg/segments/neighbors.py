"""Users who have items in common."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from gnnseg.graph import BipartiteGraph


def nearest_users(graph: BipartiteGraph, num_neighbors: int, block: int = 1024) -> sp.csr_matrix:
    """Each user's nearest users by cosine of their items, symmetric, ``[U, U]``; isolated users have none."""
    from sklearn.preprocessing import normalize

    rows = normalize(graph.biadjacency(), copy=True)
    parts = []
    for start in range(0, graph.num_users, block):
        similarity = (rows[start : start + block] @ rows.T).tocoo()
        similarity.data[similarity.row + start == similarity.col] = 0
        parts.append(_strongest(similarity.tocsr(), num_neighbors))
    nearest = sp.vstack(parts, format="csr")
    return nearest.maximum(nearest.T).tocsr()


def _strongest(matrix: sp.csr_matrix, count: int) -> sp.csr_matrix:
    """The ``count`` largest positive entries of each row."""
    matrix.eliminate_zeros()
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    place = np.arange(matrix.nnz) - matrix.indptr[row]
    chosen = order[place < count]
    return sp.csr_matrix((matrix.data[chosen], (row[chosen], matrix.indices[chosen])), shape=matrix.shape)
