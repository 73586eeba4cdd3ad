"""Weighted matrix factorisation by alternating least squares."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.baselines.base import Baseline
from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import DotProduct, Scorer
from gnnseg.spectral import right_singular

BATCH_VALUES = 2**22
"""Values gathered or solved for at once: 16 MiB of float32."""


class ImplicitALS(Baseline):
    """All pairs by squared loss, known ones with more confidence (Hu et al. 2008, doi 10.1109/ICDM.2008.22).

    Minimises ``sum_ui c_ui (r_ui - x_u . y_i)^2 + regularization (sum_u |x_u|^2 + sum_i |y_i|^2)`` over all
    pairs, equation 3, with ``c = 1 + alpha`` for known pairs and 1 for the others. Each half of an iteration
    solves equation 4 or 5 exactly, by Cholesky factors of many users or items at once. Departure: the start
    is not random but the spectrum of the binary matrix, so that there is no seed to choose, and fewer
    iterations are needed.

    Args:
        dim: Size of the vectors; the rank of the binary matrix bounds what is used.
        regularization: ``lambda``.
        alpha: Added confidence of known pairs.
        iterations: How often users, then items, are solved for.
    """

    def __init__(
        self,
        *,
        dim: PositiveInt = 64,
        regularization: PositiveFloat = 10.0,
        alpha: PositiveFloat = 5.0,
        iterations: PositiveInt = 10,
    ) -> None:
        self.dim = dim
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations

    def fit(self, graph: BipartiteGraph) -> Scorer:
        """Alternate, on the device of the graph."""
        matrix = graph.biadjacency()
        values, vectors = right_singular(matrix.astype(np.float64), self.dim)
        items = torch.from_numpy((vectors * np.sqrt(values)).astype(np.float32)).to(graph.device)
        sides = [list(_batches(side, items.shape[1], graph.device)) for side in (matrix, matrix.T.tocsr())]
        for _ in range(self.iterations):
            users = self._solve(sides[0], items, graph.num_users)
            items = self._solve(sides[1], users, graph.num_items)
        return DotProduct(users.cpu(), items.cpu())

    def _solve(self, batches: list[tuple[Tensor, Tensor]], other: Tensor, size: int) -> Tensor:
        """The best vectors of one side given those of the other.

        Args:
            batches: Rows of this side ``[B]`` and their neighbours ``[B, L]``.
            other: ``[m, d]``.
            size: Rows of this side, ``n``.

        Returns:
            ``[n, d]``.
        """
        padded = torch.cat([other, other.new_zeros(1, other.shape[1])])
        common = other.T @ other
        common.diagonal().add_(self.regularization)
        solved = other.new_zeros(size, other.shape[1])
        for rows, neighbours in batches:
            near = padded[neighbours]
            normal = torch.baddbmm(common.expand(len(rows), -1, -1), near.mT, near, alpha=self.alpha)
            target = near.sum(1).mul_(1 + self.alpha)
            factor = torch.linalg.cholesky(normal)
            solved[rows] = torch.cholesky_solve(target.unsqueeze(2), factor).squeeze(2)
        return solved


def _batches(matrix: sp.csr_matrix, dim: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
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
