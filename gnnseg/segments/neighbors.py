"""Users who have items in common."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from gnnseg.graph import BipartiteGraph
from gnnseg.sparse import largest


def nearest_users(graph: BipartiteGraph, num_neighbors: int, block: int = 1024) -> sp.csr_matrix:
    """Each user's nearest users by cosine of their items, symmetric, ``[U, U]``; isolated users have none."""
    from sklearn.preprocessing import normalize

    rows = normalize(graph.biadjacency(), copy=True)
    parts = []
    for start in range(0, graph.num_users, block):
        similarity = (rows[start : start + block] @ rows.T).tocsr()
        similarity.sort_indices()  # of equal users the first are kept
        own = np.repeat(np.arange(similarity.shape[0]) + start, np.diff(similarity.indptr))
        similarity.data[own == similarity.indices] = 0
        similarity.eliminate_zeros()
        parts.append(largest(similarity, num_neighbors))
    nearest = sp.vstack(parts, format="csr")
    return nearest.maximum(nearest.T).tocsr()
