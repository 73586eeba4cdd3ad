"""A polynomial of the item graph whose coefficients are learned on held-out edges."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from gnnseg.baselines.base import Baseline
from gnnseg.baselines.chebycf import chebyshev_filter
from gnnseg.components import NonNegativeFloat, NonNegativeInt, PositiveInt, Probability
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import Scorer
from gnnseg.spectral import hold_out

BLOCK = 256
"""Users whose scores under every polynomial are held at once."""


class PolynomialFilter(Baseline):
    """A Chebyshev polynomial of the item graph, its coefficients learned; the sibling of SpectralFilter.

    The scores of a user with history ``r`` are ``r S^-1 (sum_k c_k T_k(I - 2P) + c V V^T) S`` with
    ``P = N^T N`` for ``N = D_u^-1/2 R D_i^-1/2``, ``S = D_i^beta`` and ``V`` the top right singular vectors
    of ``N``. ChebyCF (arXiv 2505.00552) chooses the coefficients by hand; here they solve a ridge
    regression of held-out edges, on all items that a user does not have, with everything else made of the
    remaining edges. Where these say nothing, the filter is ``P`` itself. Sparse products only.

    Args:
        order: Degree of the polynomial.
        num_vectors: Columns of ``V``; 0 leaves the term out.
        beta: Exponent of the items' degrees.
        held_out: Share of edges to learn from.
        max_users: Learn from no more users than that.
        ridge: Pull of every coefficient to zero, relative to what its term weighs.
    """

    def __init__(
        self,
        *,
        order: PositiveInt = 8,
        num_vectors: NonNegativeInt = 512,
        beta: NonNegativeFloat = 0.4,
        held_out: Probability = 0.15,
        max_users: PositiveInt = 2048,
        ridge: NonNegativeFloat = 1e-3,
    ) -> None:
        self.order = order
        self.num_vectors = num_vectors
        self.beta = beta
        self.held_out = held_out
        self.max_users = max_users
        self.ridge = ridge

    def fit(self, graph: BipartiteGraph) -> Scorer:
        """Learn the coefficients on part of the edges, then put them on all of them."""
        matrix = graph.biadjacency()
        coefficients = self._learn(*hold_out(matrix, self.held_out))
        return chebyshev_filter(matrix, coefficients[:-1], self.num_vectors, coefficients[-1], self.beta)

    def _learn(self, kept: sp.csr_matrix, held: sp.csr_matrix) -> np.ndarray:
        """``c_0 .. c_K`` and ``c``, ``[order + 2]``."""
        users = np.flatnonzero(np.diff(held.indptr))
        rng = np.random.default_rng(0)
        users = np.sort(rng.permutation(users)[: self.max_users])
        basis = chebyshev_filter(kept, np.ones(self.order + 1), self.num_vectors, 1.0, self.beta)
        count = self.order + 2
        gram, right = np.zeros((count, count)), np.zeros(count)
        for first in range(0, len(users), BLOCK):
            some = users[first : first + BLOCK]
            terms = torch.stack(list(basis.terms(torch.from_numpy(some)))).flatten(1)
            terms[:, torch.from_numpy(np.flatnonzero(kept[some].toarray()))] = 0.0
            gram += (terms @ terms.T).double().numpy()
            right += terms[:, torch.from_numpy(np.flatnonzero(held[some].toarray()))].double().sum(1).numpy()
        if not right.any():
            return np.array([0.5, -0.5] + [0.0] * self.order)
        weights = np.diag(gram)
        # V V^T of full rank is I, which no pair outside the history depends on: only rounding is left of it
        pull = self.ridge * weights + 1e-8 * weights.max()
        solution: np.ndarray = np.linalg.solve(gram + np.diag(pull), right)
        return solution
