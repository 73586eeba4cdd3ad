"""Users and items as factors of a weighted matrix: anybody's follow from a history in closed form."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.scoring.base import HistoryScorer
from gnnseg.scoring.simple import DotProduct

BATCH_VALUES = 2**22
"""Values gathered or solved for at once: 16 MiB of float32."""


class Factors(DotProduct, HistoryScorer):
    """Dot products of two tables, where the items' tell what the vector of any history is.

    Known users keep the vectors they were fitted with; others get
    ``x = (Y^T C Y + regularization I)^-1 Y^T C p`` (Hu et al. 2008, doi 10.1109/ICDM.2008.22, equation 4),
    with ``c = 1 + alpha`` for the items of the history and 1 for the others.

    Args:
        users: ``[U, d]``.
        items: ``Y``, ``[I, d]``.
        rule: ``regularization`` and ``alpha``, ``[2]``.
    """

    rule: Tensor

    def __init__(self, users: Tensor, items: Tensor, rule: Tensor) -> None:
        super().__init__(users, items)
        self.register_buffer("rule", rule.double())

    def solve(self, histories: sp.csr_matrix) -> Tensor:
        """Vectors of users by their histories ``[B, I]``, ``[B, d]``; zeros without a history."""
        return solve(
            list(batches(histories, self.items.shape[1], self.device)),
            self.items,
            histories.shape[0],
            *self.rule.tolist(),
        )

    def score_histories(self, rows: Tensor, items: Tensor, count: int) -> Tensor:
        """``[B, I]``."""
        pairs = (np.ones(len(rows), dtype=np.float32), (rows.cpu().numpy(), items.cpu().numpy()))
        return self.solve(sp.csr_matrix(pairs, shape=(count, self.num_items))) @ self.items.T

    def contributions(self, items: Tensor, target: int) -> Tensor:
        """What each item of a history adds to the score of one item, ``[m]``.

        The score is linear in the history once its weights are fixed: item ``j`` adds
        ``(1 + alpha) y_target^T (Y^T C Y + regularization I)^-1 y_j`` (Hu et al. 2008, equation 7).
        """
        regularization, alpha = self.rule.tolist()
        every = self.items.double()
        own = every[items]
        normal = every.T @ every + alpha * (own.T @ own)
        normal.diagonal().add_(regularization)
        values: Tensor = own @ torch.linalg.solve(normal, (1 + alpha) * every[target])
        return values


def solve(
    found: list[tuple[Tensor, Tensor]], other: Tensor, size: int, regularization: float, alpha: float
) -> Tensor:
    """The best vectors of one side given those of the other, by Cholesky factors of many rows at once.

    Args:
        found: Rows of this side ``[B]`` and their neighbours ``[B, L]``, as :func:`batches` gives them.
        other: ``[m, d]``.
        size: Rows of this side, ``n``.
        regularization: ``lambda``.
        alpha: Added confidence of known pairs.

    Returns:
        ``[n, d]``.
    """
    padded = torch.cat([other, other.new_zeros(1, other.shape[1])])
    common = other.T @ other
    common.diagonal().add_(regularization)
    solved = other.new_zeros(size, other.shape[1])
    for rows, neighbours in found:
        near = padded[neighbours]
        normal = torch.baddbmm(common.expand(len(rows), -1, -1), near.mT, near, alpha=alpha)
        target = near.sum(1).mul_(1 + alpha)
        factor = torch.linalg.cholesky(normal)
        solved[rows] = torch.cholesky_solve(target.unsqueeze(2), factor).squeeze(2)
    return solved


def batches(matrix: sp.csr_matrix, dim: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows with neighbours, rows of like degree together.

    Args:
        matrix: ``[n, m]``.
        dim: ``d``, of the vectors gathered for each neighbour.
        device: Where batches are put.

    Yields:
        Rows ``[B]`` and their neighbours ``[B, L]``, the shorter ones filled up with ``m``.
    """
    degrees = np.diff(matrix.indptr)
    order = np.argsort(degrees, kind="stable")
    order = order[degrees[order] > 0]
    start = 0
    while start < len(order):
        size = BATCH_VALUES // (dim * max(dim, int(degrees[order[start]])))
        rows = order[start : start + max(1, size)]
        while len(rows) > 1 and len(rows) * degrees[rows[-1]] * dim > BATCH_VALUES:
            rows = rows[: max(1, int(BATCH_VALUES // (dim * degrees[rows[-1]])))]
        place = np.arange(degrees[rows[-1]])
        known = place < degrees[rows][:, None]
        neighbours = np.full(known.shape, matrix.shape[1], dtype=np.int64)
        neighbours[known] = matrix.indices[(matrix.indptr[rows][:, None] + place)[known]]
        yield torch.from_numpy(rows.astype(np.int64)).to(device), torch.from_numpy(neighbours).to(device)
        start += len(rows)
