"""Lists whose tags are spread as those of the user's history are."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.rules import unit

SMOOTHING = 0.01
"""Share of the history in a list's distribution, which keeps the divergence finite (Steck 2018, eq. 6)."""


def tag_shares(tags: sp.csr_matrix) -> sp.csr_matrix:
    """``p(g|i)``: an item's tags weigh ``1 / number of tags`` each, ``[I, T] -> [I, T]``; no tag, zeros."""
    return sp.csr_matrix(sp.diags(1 / np.maximum(np.asarray(tags.sum(1)).ravel(), 1)) @ tags)


def calibrated(scores: Tensor, shares: Tensor, wanted: Tensor, k: int, weight: float) -> Tensor:
    """Choose ``k`` of ``p`` candidates for score and for tags as often as the user had them, greedily.

    Each step takes the candidate that most raises ``(1 - w) sum_i r_i - w KL(p || (1 - a) q + a p)`` of the
    list (Steck 2018, doi 10.1145/3240323.3240372, equation 7 with the divergence of 5 and 6): ``r`` are the
    scores brought to ``[0, 1]`` among a user's candidates, ``p`` is the distribution of tags in the history,
    ``q`` that in the list and ``a`` is :data:`SMOOTHING`.

    Args:
        scores: Best first, ``-inf`` where there are fewer candidates, ``[B, p]``.
        shares: Tags of the candidates, rows sum to one or are zero, ``[B, p, T]``.
        wanted: ``p``, rows sum to one or are zero, where scores alone decide, ``[B, T]``.
        k: At most ``p``.
        weight: ``w``.

    Returns:
        Positions in the order of choice, ``[B, k]`` int64; candidates with score ``-inf`` come last.
    """
    relevance = torch.where(scores.isfinite(), (1 - weight) * unit(scores.double()), -1e9)
    shares, wanted = shares.double(), wanted.double()
    mass, row, places = torch.zeros_like(wanted), torch.arange(len(scores), device=scores.device), []
    for _ in range(k):
        after = mass.unsqueeze(1) + shares
        share = after / after.sum(2, keepdim=True).clamp(min=1e-12)
        mixed = (1 - SMOOTHING) * share + SMOOTHING * wanted.unsqueeze(1)
        near = torch.xlogy(wanted.unsqueeze(1), mixed).sum(2)  # minus the divergence, but for a constant
        place = (relevance + weight * near).argmax(1)
        places.append(place)
        relevance[row, place] = -torch.inf
        mass += shares[row, place]
    return torch.stack(places, dim=1)


def wanted_shares(history: sp.csr_matrix, shares: sp.csr_matrix) -> np.ndarray:
    """Distribution of tags in histories ``[n, I]`` by :func:`tag_shares`, ``[n, T]``; zeros without tags."""
    mass = (history.astype(np.float64) @ shares).toarray()
    total = mass.sum(1, keepdims=True)
    return np.asarray(np.divide(mass, total, out=np.zeros_like(mass), where=total > 0))
