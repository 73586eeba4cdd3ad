"""An item-item matrix applied to histories."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.graph import csr_tensor
from gnnseg.scoring.base import HistoryScorer, csr_parts


class ItemGraph(HistoryScorer):
    """An item-item matrix applied to the users' histories: ``R W``.

    Args:
        indptr: Histories in CSR, ``[U+1]`` int64: where each user's items start.
        indices: Items of all users after each other, ``[n]`` int64.
        weights: Dense ``[I, I]``; ``weights[i, j]`` is what having ``i`` says of ``j``. Or, for a sparse
            matrix, the values of its transpose in CSR, ``[m]``.
        weights_indptr: For a sparse matrix, ``[I+1]`` int64.
        weights_indices: For a sparse matrix, ``[m]`` int64.
    """

    weights: Tensor
    weights_indptr: Tensor | None
    weights_indices: Tensor | None

    def __init__(
        self,
        indptr: Tensor,
        indices: Tensor,
        weights: Tensor,
        weights_indptr: Tensor | None = None,
        weights_indices: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.num_items = len(weights) if weights_indptr is None else len(weights_indptr) - 1
        self.register_buffer("indptr", indptr)
        self.register_buffer("indices", indices)
        self.register_buffer("weights", weights)
        self.register_buffer("weights_indptr", weights_indptr)
        self.register_buffer("weights_indices", weights_indices)

    @classmethod
    def build(cls, histories: sp.csr_matrix, weights: np.ndarray | sp.csr_matrix) -> ItemGraph:
        """From histories ``[U, I]`` and weights ``[I, I]``, dense or sparse, as SciPy and NumPy have them."""
        indptr, indices = csr_parts(histories)
        if not sp.issparse(weights):
            return cls(indptr, indices, torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32)))
        transposed = sp.csr_matrix(weights.T)
        values = torch.from_numpy(transposed.data.astype(np.float32))
        return cls(indptr, indices, values, *csr_parts(transposed))

    def score_histories(self, rows: Tensor, items: Tensor, count: int) -> Tensor:
        """``[B, I]``."""
        histories = torch.zeros(count, self.num_items, device=rows.device)
        histories[rows, items] = 1.0
        if self.weights_indptr is None or self.weights_indices is None:
            return histories @ self.weights
        size = (self.num_items, self.num_items)
        sparse = csr_tensor(self.weights_indptr, self.weights_indices, self.weights, size)
        return (sparse @ histories.T.contiguous()).T
