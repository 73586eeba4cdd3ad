"""A linear graph filter plus an ideal low-pass filter."""

from __future__ import annotations

import numpy as np

from gnnseg.baselines.base import Baseline
from gnnseg.components import NonNegativeFloat, PositiveInt
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import GraphFilter, Scorer
from gnnseg.spectral import item_degrees, normalised, right_singular


class GFCF(Baseline):
    """GF-CF (Shen et al. 2021, arXiv 2108.07567): nothing is trained.

    The scores of a user with history ``r`` are ``r (N^T N + alpha D_i^-1/2 V V^T D_i^1/2)`` for
    ``N = D_u^-1/2 R D_i^-1/2`` and ``V`` its top right singular vectors, which a randomised decomposition
    finds. The defaults are the paper's.

    Args:
        num_vectors: Columns of ``V``; at most the rank of ``N`` are used.
        alpha: Weight of the ideal low-pass filter against the linear one.
    """

    def __init__(self, *, num_vectors: PositiveInt = 256, alpha: NonNegativeFloat = 0.3) -> None:
        self.num_vectors = num_vectors
        self.alpha = alpha

    def fit(self, graph: BipartiteGraph) -> Scorer:
        """Normalise and decompose."""
        matrix = graph.biadjacency()
        links = normalised(matrix)
        _, vectors = right_singular(links, self.num_vectors)
        root = np.sqrt(item_degrees(matrix))[:, None]
        return GraphFilter.build(
            links,
            coefficients=np.array([0.5, -0.5]),  # P = (T_0 - T_1)(I - 2P) / 2
            scale=np.ones(graph.num_items),
            left=self.alpha * vectors / root,
            items=vectors * root,
        )
