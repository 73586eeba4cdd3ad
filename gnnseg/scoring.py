"""Scores of every item for some users: all that ranking, evaluation and recommendation know of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

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
        row, item = _pairs(self.indptr, self.indices, users)
        histories = torch.zeros(len(users), self.num_items, device=row.device)
        histories[row, item] = 1.0
        if self.weights_indptr is None or self.weights_indices is None:
            return histories @ self.weights
        size = (self.num_items, self.num_items)
        sparse = csr_tensor(self.weights_indptr, self.weights_indices, self.weights, size)
        return (sparse @ histories.T.contiguous()).T


class GraphFilter(Scorer):
    """A polynomial of the item graph applied to the users' histories, plus a low-rank term.

    The item graph is ``P = N^T N`` for ``N = D_u^-1/2 R D_i^-1/2``; its Laplacian ``I - P`` has its
    eigenvalues in ``[0, 1]``. The scores of a user with history ``r`` and vector ``x`` are
    ``((r / scale) p(P)) * scale + x items^T`` with ``p(P) = sum_k c_k T_k(I - 2P)``, ``T_k`` the Chebyshev
    polynomials of the first kind. They are summed by Clenshaw's recurrence from products of ``N`` and
    ``N^T`` with ``[I, B]`` and ``[U, B]``: neither ``P`` nor the users' scores are ever held as a whole.

    Args:
        indptr: ``N`` in CSR, ``[U+1]`` int32; its pattern is the users' histories.
        indices: Its items, ``[n]`` int32.
        values: Its values, ``[n]``.
        transposed_indptr: ``N^T`` in CSR, ``[I+1]`` int32.
        transposed_indices: Its users, ``[n]`` int32.
        transposed_values: Its values, ``[n]``.
        coefficients: ``c_0 .. c_K``, ``[K+1]``.
        scale: Positive, ``[I]``.
        users: Left factor of the low-rank term, ``[U, d]``.
        items: Right factor of the low-rank term, ``[I, d]``.
    """

    indptr: Tensor
    indices: Tensor
    values: Tensor
    transposed_indptr: Tensor
    transposed_indices: Tensor
    transposed_values: Tensor
    coefficients: Tensor
    scale: Tensor
    users: Tensor
    items: Tensor

    def __init__(
        self,
        indptr: Tensor,
        indices: Tensor,
        values: Tensor,
        transposed_indptr: Tensor,
        transposed_indices: Tensor,
        transposed_values: Tensor,
        coefficients: Tensor,
        scale: Tensor,
        users: Tensor,
        items: Tensor,
    ) -> None:
        super().__init__()
        self.num_items = len(items)
        self.register_buffer("indptr", indptr)
        self.register_buffer("indices", indices)
        self.register_buffer("values", values)
        self.register_buffer("transposed_indptr", transposed_indptr)
        self.register_buffer("transposed_indices", transposed_indices)
        self.register_buffer("transposed_values", transposed_values)
        self.register_buffer("coefficients", coefficients)
        self.register_buffer("scale", scale)
        self.register_buffer("users", users)
        self.register_buffer("items", items)
        # Read once: on an accelerator, reading them for every block of users would wait for the device.
        self._coefficients: list[float] = coefficients.tolist()

    @classmethod
    def build(
        cls,
        normalised: sp.csr_matrix,
        coefficients: np.ndarray,
        scale: np.ndarray,
        users: np.ndarray,
        items: np.ndarray,
    ) -> GraphFilter:
        """From ``N [U, I]``, ``c [K+1]``, ``scale [I]`` and factors ``[U, d]``, ``[I, d]``."""
        parts = []
        for matrix in (normalised, sp.csr_matrix(normalised.T)):
            parts += [torch.from_numpy(part.astype(np.int32)) for part in (matrix.indptr, matrix.indices)]
            parts.append(torch.from_numpy(matrix.data.astype(np.float32)))
        tables = (coefficients, scale, users, items)
        return cls(*parts, *(torch.from_numpy(np.ascontiguousarray(t, dtype=np.float32)) for t in tables))

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        filtered = self._clenshaw(self._histories(users)).mul_(self.scale.unsqueeze(1))
        return torch.addmm(filtered.T, self.users[users], self.items.T)

    def terms(self, users: Tensor) -> Iterator[Tensor]:
        """What the scores are a sum of, without coefficients: each ``T_k`` in turn, then the low-rank term.

        Args:
            users: Rows of users, ``[B]``.

        Yields:
            ``K + 2`` times ``[B, I]``.
        """
        older, newer = torch.zeros(0), self._histories(users)
        for k in range(len(self._coefficients)):
            if k > 0:
                times = 1.0 if k == 1 else 2.0
                moved = newer.sub(self._item_graph(newer), alpha=2.0).mul_(times)
                older, newer = newer, moved if k == 1 else moved.sub_(older)
            yield (newer * self.scale.unsqueeze(1)).T
        yield self.users[users] @ self.items.T

    def _histories(self, users: Tensor) -> Tensor:
        """``r / scale`` of each user, ``[I, B]``."""
        row, item = _pairs(self.indptr, self.indices, users)
        histories = torch.zeros(self.num_items, len(users), device=row.device)
        histories[item, row] = self.scale[item].reciprocal()
        return histories

    def _item_graph(self, x: Tensor) -> Tensor:
        """``P x``, ``[I, B]``."""
        size = (len(self.indptr) - 1, self.num_items)
        matrix = csr_tensor(self.indptr, self.indices, self.values, size)
        transposed = csr_tensor(
            self.transposed_indptr, self.transposed_indices, self.transposed_values, size[::-1]
        )
        result: Tensor = transposed @ (matrix @ x)
        return result

    def _clenshaw(self, x: Tensor) -> Tensor:
        """``p(P) x``, ``[I, B]``, by ``b_k = c_k x + 2 (I - 2P) b_(k+1) - b_(k+2)``."""
        *first, last = self._coefficients
        newer, older = x * last, torch.zeros_like(x)
        for k in range(len(first) - 1, -1, -1):
            times = 2.0 if k > 0 else 1.0
            rest = older.neg_().add_(x, alpha=first[k]).add_(newer, alpha=times)
            older, newer = newer, rest.add_(self._item_graph(newer), alpha=-2 * times)
        return newer


def _pairs(indptr: Tensor, indices: Tensor, users: Tensor) -> tuple[Tensor, Tensor]:
    """Position in ``users`` and item of every pair in some users' histories, ``[m]`` int64 each."""
    start = indptr[users].long()
    counts = indptr[users + 1].long() - start
    row = torch.repeat_interleave(counts)
    first = torch.cumsum(counts, 0) - counts
    at = torch.arange(len(row), device=row.device) + (start - first)[row]
    return row, indices[at].long()


def _int64(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values.astype(np.int64))


SCORERS: dict[str, type[Scorer]] = {
    cls.__name__: cls for cls in (Constant, DotProduct, GraphFilter, ItemGraph)
}
"""What a run on disk can hold: each is built from the tensors in its ``state_dict``, by name."""
