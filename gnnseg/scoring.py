"""Scores of every item for some users: all that ranking, evaluation and recommendation know of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from gnnseg.graph import csr_tensor


class Scorer(nn.Module, ABC):
    """Scores all items for given users; what it knows lives in buffers, so it moves and saves as a module."""

    num_items: int

    @abstractmethod
    def score(self, users: Tensor) -> Tensor:
        """Scores, higher is better.

        Args:
            users: Rows of users, ``[B]``.

        Returns:
            ``[B, I]`` float32.
        """

    @property
    def device(self) -> torch.device:
        """Where the tables lie."""
        return next(self.buffers()).device


class DotProduct(Scorer):
    """Dot products of two tables.

    Args:
        users: ``[U, d]``.
        items: ``[I, d]``.
    """

    users: Tensor
    items: Tensor

    def __init__(self, users: Tensor, items: Tensor) -> None:
        super().__init__()
        self.num_items = len(items)
        self.register_buffer("users", users.detach().contiguous())
        self.register_buffer("items", items.detach().contiguous())

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        return self.users[users] @ self.items.T


class Constant(Scorer):
    """The same scores for every user.

    Args:
        items: One score an item, ``[I]``.
    """

    items: Tensor

    def __init__(self, items: Tensor) -> None:
        super().__init__()
        self.num_items = len(items)
        self.register_buffer("items", items.float())

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        return self.items.repeat(len(users), 1)


class ItemGraph(Scorer):
    """An item-item matrix applied to the users' histories: ``R W``.

    Args:
        indptr: Histories in CSR, ``[U+1]`` int64: where each user's items start.
        indices: Items of all users after each other, ``[n]`` int64.
        weights: Dense ``[I, I]``; ``weights[i, j]`` is what having ``i`` says of ``j``. Or, for a sparse
            matrix, the values of its transpose in CSR, ``[m]``.
        weights_indptr: For a sparse matrix, ``[I+1]`` int64.
        weights_indices: For a sparse matrix, ``[m]`` int64.
    """

    indptr: Tensor
    indices: Tensor
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
        indptr, indices = _int64(histories.indptr), _int64(histories.indices)
        if not sp.issparse(weights):
            return cls(indptr, indices, torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32)))
        transposed = sp.csr_matrix(weights.T)
        values = torch.from_numpy(transposed.data.astype(np.float32))
        return cls(indptr, indices, values, _int64(transposed.indptr), _int64(transposed.indices))

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        counts = self.indptr[users + 1] - self.indptr[users]
        row = torch.repeat_interleave(counts)
        first = torch.cumsum(counts, 0) - counts
        at = torch.arange(len(row), device=row.device) - first[row] + self.indptr[users][row]
        histories = torch.zeros(len(users), self.num_items, device=row.device)
        histories[row, self.indices[at]] = 1.0
        if self.weights_indptr is None or self.weights_indices is None:
            return histories @ self.weights
        size = (self.num_items, self.num_items)
        sparse = csr_tensor(self.weights_indptr, self.weights_indices, self.weights, size)
        return (sparse @ histories.T.contiguous()).T


def _int64(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))


SCORERS: dict[str, type[Scorer]] = {cls.__name__: cls for cls in (Constant, DotProduct, ItemGraph)}
"""What a run on disk can hold: each is built from the tensors in its ``state_dict``, by name."""
