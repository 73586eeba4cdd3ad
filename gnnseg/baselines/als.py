"""Weighted matrix factorisation by alternating least squares."""

from __future__ import annotations

import numpy as np
import torch

from gnnseg.baselines.base import Baseline
from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import Factors, Scorer
from gnnseg.scoring.factors import batches, solve
from gnnseg.spectral import right_singular


class ImplicitALS(Baseline):
    """All pairs by squared loss, known ones with more confidence (Hu et al. 2008, doi 10.1109/ICDM.2008.22).

    Minimises ``sum_ui c_ui (r_ui - x_u . y_i)^2 + regularization (sum_u |x_u|^2 + sum_i |y_i|^2)`` over all
    pairs, equation 3, with ``c = 1 + alpha`` for known pairs and 1 for the others. Each half of an iteration
    solves equation 4 or 5 exactly, by Cholesky factors of many users or items at once. Departure: the start
    is not random but the spectrum of the binary matrix, so that there is no seed to choose, and fewer
    iterations are needed. Users who were not there get their vector by equation 4, too.

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
        sides = [list(batches(side, items.shape[1], graph.device)) for side in (matrix, matrix.T.tocsr())]
        rule = self.regularization, self.alpha
        for _ in range(self.iterations):
            users = solve(sides[0], items, graph.num_users, *rule)
            items = solve(sides[1], users, graph.num_items, *rule)
        return Factors(users.cpu(), items.cpu(), torch.tensor(rule, dtype=torch.float64))
