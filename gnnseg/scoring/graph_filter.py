"""A polynomial of the item graph applied to histories."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.graph import csr_tensor
from gnnseg.scoring.base import HistoryScorer, history_pairs


class GraphFilter(HistoryScorer):
    """A polynomial of the item graph applied to the users' histories, plus a low-rank term.

    The item graph is ``P = N^T N`` for ``N = D_u^-1/2 R D_i^-1/2``; its Laplacian ``I - P`` has its
    eigenvalues in ``[0, 1]``. The scores of a user with history ``r`` are
    ``((r / scale) p(P)) * scale + (r left) items^T`` with ``p(P) = sum_k c_k T_k(I - 2P)``, ``T_k`` the
    Chebyshev polynomials of the first kind. They are summed by Clenshaw's recurrence from products of ``N``
    and ``N^T`` with ``[I, B]`` and ``[U, B]``: neither ``P`` nor the users' scores are held as a whole.

    Args:
        indptr: ``N`` in CSR, ``[U+1]`` int32; its pattern is the users' histories.
        indices: Its items, ``[n]`` int32.
        values: Its values, ``[n]``.
        transposed_indptr: ``N^T`` in CSR, ``[I+1]`` int32.
        transposed_indices: Its users, ``[n]`` int32.
        transposed_values: Its values, ``[n]``.
        coefficients: ``c_0 .. c_K``, ``[K+1]``.
        scale: Positive, ``[I]``.
        left: Left factor of the low-rank term, ``[I, d]``.
        items: Right factor of the low-rank term, ``[I, d]``.
    """

    values: Tensor
    transposed_indptr: Tensor
    transposed_indices: Tensor
    transposed_values: Tensor
    coefficients: Tensor
    scale: Tensor
    left: Tensor
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
        left: Tensor,
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
        self.register_buffer("left", left)
        self.register_buffer("items", items)
        # Read once: on an accelerator, reading them for every block of users would wait for the device.
        self._coefficients: list[float] = coefficients.tolist()

    @classmethod
    def build(
        cls,
        normalised: sp.csr_matrix,
        coefficients: np.ndarray,
        scale: np.ndarray,
        left: np.ndarray,
        items: np.ndarray,
    ) -> GraphFilter:
        """From ``N [U, I]``, ``c [K+1]``, ``scale [I]`` and factors ``[I, d]`` each."""
        parts = []
        for matrix in (normalised, sp.csr_matrix(normalised.T)):
            parts += [torch.from_numpy(part.astype(np.int32)) for part in (matrix.indptr, matrix.indices)]
            parts.append(torch.from_numpy(matrix.data.astype(np.float32)))
        tables = (coefficients, scale, left, items)
        return cls(*parts, *(torch.from_numpy(np.ascontiguousarray(t, dtype=np.float32)) for t in tables))

    def score_histories(self, rows: Tensor, items: Tensor, count: int) -> Tensor:
        """``[B, I]``."""
        filtered = self._clenshaw(self._scaled(rows, items, count)).mul_(self.scale.unsqueeze(1))
        return torch.addmm(filtered.T, self._project(rows, items, count), self.items.T)

    def terms(self, users: Tensor) -> Iterator[Tensor]:
        """What the scores are a sum of, without coefficients: each ``T_k`` in turn, then the low-rank term.

        Args:
            users: Rows of users, ``[B]``.

        Yields:
            ``K + 2`` times ``[B, I]``.
        """
        history = (*history_pairs(self.indptr, self.indices, users), len(users))
        older, newer = torch.zeros(0), self._scaled(*history)
        for k in range(len(self._coefficients)):
            if k > 0:
                times = 1.0 if k == 1 else 2.0
                moved = newer.sub(self._item_graph(newer), alpha=2.0).mul_(times)
                older, newer = newer, moved if k == 1 else moved.sub_(older)
            yield (newer * self.scale.unsqueeze(1)).T
        yield self._project(*history) @ self.items.T

    def low_rank(self, users: Tensor) -> Tensor:
        """Vectors of users whose products with ``items`` are the low-rank term, ``[B] -> [B, d]``."""
        return self._project(*history_pairs(self.indptr, self.indices, users), len(users))

    def _scaled(self, rows: Tensor, items: Tensor, count: int) -> Tensor:
        """``r / scale`` of each history, ``[I, B]``."""
        histories = torch.zeros(self.num_items, count, device=rows.device)
        histories[items, rows] = self.scale[items].reciprocal()
        return histories

    def _project(self, rows: Tensor, items: Tensor, count: int) -> Tensor:
        """``r left`` of each history, ``[B, d]``."""
        start = torch.searchsorted(rows, torch.arange(count, device=rows.device))
        return F.embedding_bag(items, self.left, start, mode="sum")

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
