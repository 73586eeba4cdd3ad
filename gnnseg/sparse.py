"""The largest entries of each row of a matrix."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def largest(matrix: np.ndarray | sp.csr_matrix, count: int) -> sp.csr_matrix:
    """The ``count`` entries of the largest size in each row.

    Args:
        matrix: Dense or sparse, ``[n, m]``.
        count: How many at most; zeros are never kept.

    Returns:
        ``[n, m]``, sparse. Of equal entries of a sparse matrix those stored first are kept.
    """
    if isinstance(matrix, np.ndarray):
        count = min(count, matrix.shape[1])
        columns = np.argpartition(-np.abs(matrix), count - 1, axis=1)[:, :count]
        values = np.take_along_axis(matrix, columns, axis=1).ravel()
        rows, columns = np.repeat(np.arange(len(matrix)), count), columns.ravel()
    else:
        row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        order = np.lexsort((-np.abs(matrix.data), row))
        kept = order[np.arange(len(order)) - matrix.indptr[row] < count]
        rows, columns, values = row[kept], matrix.indices[kept], matrix.data[kept]
    result = sp.csr_matrix((values, (rows, columns)), shape=matrix.shape)
    result.eliminate_zeros()
    return result
