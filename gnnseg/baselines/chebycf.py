"""A flat-topped graph filter by Chebyshev interpolation."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.polynomial import chebyshev

from gnnseg.baselines.base import Baseline
from gnnseg.components import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import GraphFilter, Scorer
from gnnseg.spectral import item_degrees, normalised, right_singular


class ChebyCF(Baseline):
    """ChebyCF (Kim et al. 2025, arXiv 2505.00552): nothing is trained.

    The scores of a user with history ``r`` are ``r D_i^-beta (p(L) + alpha V V^T) D_i^beta`` for
    ``N = D_u^-1/2 R D_i^-1/2``, ``L = I - 2 N^T N`` the Laplacian of the item graph moved to ``[-1, 1]``,
    ``V`` the top right singular vectors of ``N`` and ``p`` a polynomial close to the plateau
    ``h(x) = (1 - sign(x) |x|^flatness) / 2``, which passes smooth signals (``x = -1``) whole and the
    roughest (``x = 1``) not at all. The defaults are the authors' setting for Gowalla.

    As in the authors' code (github.com/chanwoo0806/ChebyCF), ``p`` takes at the ``order + 1`` roots of
    the Chebyshev polynomial the values of ``h`` at the same number of its extrema, so that the outermost
    roots get exactly 1 and 0. Departures from that code: values are not rounded to three decimals, and ``V``
    comes from a randomised decomposition.

    Args:
        order: Degree of ``p``: the hops of the filter. With 1 and no vectors this is the one-hop item graph
            ``N^T N``, as what the user has is left out of lists.
        flatness: Exponent of the plateau; the larger, the flatter around the middle of the spectrum.
        num_vectors: Columns of ``V``; at most the rank of ``N`` are used, and 0 leaves the filter out.
        alpha: Weight of the ideal low-pass filter.
        beta: Exponent of the items' degrees.
    """

    def __init__(
        self,
        *,
        order: PositiveInt = 8,
        flatness: PositiveFloat = 1.5,
        num_vectors: NonNegativeInt = 512,
        alpha: NonNegativeFloat = 0.2,
        beta: NonNegativeFloat = 0.4,
    ) -> None:
        self.order = order
        self.flatness = flatness
        self.num_vectors = num_vectors
        self.alpha = alpha
        self.beta = beta

    def fit(self, graph: BipartiteGraph) -> Scorer:
        """Normalise, decompose and interpolate."""
        coefficients = interpolate(self.order, self.flatness)
        return chebyshev_filter(graph.biadjacency(), coefficients, self.num_vectors, self.alpha, self.beta)


def chebyshev_filter(
    matrix: sp.csr_matrix, coefficients: np.ndarray, num_vectors: int, alpha: float, beta: float
) -> GraphFilter:
    """``r S^-1 (sum_k c_k T_k(I - 2P) + alpha V V^T) S`` on given edges, ``S = D_i^beta``.

    Args:
        matrix: ``R``, binary, ``[U, I]``.
        coefficients: ``c_0 .. c_K``.
        num_vectors: Columns of ``V``; 0 leaves the term out.
        alpha: Weight of ``V V^T``.
        beta: Exponent of the items' degrees.
    """
    links = normalised(matrix)
    scale = item_degrees(matrix) ** beta
    vectors = right_singular(links, num_vectors)[1] if num_vectors else np.zeros((matrix.shape[1], 0))
    return GraphFilter.build(
        links,
        coefficients=coefficients,
        scale=scale,
        left=alpha * vectors / scale[:, None],
        items=vectors * scale[:, None],
    )


def interpolate(order: int, flatness: float) -> np.ndarray:
    """Chebyshev coefficients ``c_0 .. c_K`` of the filter, ``[order + 1]``."""
    extrema = np.cos(np.pi * np.arange(order, -1, -1) / order)
    plateau = (1 - np.sign(extrema) * np.abs(extrema) ** flatness) / 2
    roots = chebyshev.chebpts1(order + 1)
    return np.linalg.solve(chebyshev.chebvander(roots, order), plateau)
