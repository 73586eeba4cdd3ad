"""What lists show: popular and rare items, and tags as often as users had them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from gnnseg.calibration import SMOOTHING, tag_shares
from gnnseg.metrics import gini
from gnnseg.statistics import Array

BINS = ("head", "middle", "tail")


def popularity_bins(popularity: np.ndarray) -> np.ndarray:
    """Bin of each item, ``[I]``: 0 head, 1 middle, 2 tail, each with about a third of the interactions.

    As each bin has as many training interactions as the others, a system that showed items as often as users
    choose them would show all three equally often.

    Args:
        popularity: Training interactions of each item, ``[I]``.
    """
    order = np.argsort(-popularity, kind="stable")
    before = np.cumsum(popularity[order]) - popularity[order]
    bins = np.empty(len(popularity), dtype=np.int64)
    bins[order] = np.minimum(before * len(BINS) // max(1, int(popularity.sum())), len(BINS) - 1)
    return bins


def exposure(items: np.ndarray, popularity: np.ndarray) -> dict[str, Any]:
    """Who among the items is shown.

    Args:
        items: Rows of the items in lists, -1 where a list ends, ``[n, k]``.
        popularity: Training interactions of each item, ``[I]``.

    Returns:
        ``coverage`` of the catalogue, ``gini`` of exposure (0 equal to 1), and for each of ``bins`` the
        ``items`` in it and the shares of items, of training interactions and of shown items.
    """
    shown = np.bincount(items[items >= 0], minlength=len(popularity)).astype(np.float64)
    bins = popularity_bins(popularity)
    totals = (np.ones(len(popularity)), popularity.astype(np.float64), shown)
    shares = [np.bincount(bins, v, minlength=len(BINS)) / max(1.0, v.sum()) for v in totals]
    return {
        "coverage": float((shown > 0).mean()),
        "gini": gini(shown),
        "bins": [
            {
                "name": name,
                "items": int((bins == b).sum()),
                "of_items": float(shares[0][b]),
                "of_interactions": float(shares[1][b]),
                "of_lists": float(shares[2][b]),
            }
            for b, name in enumerate(BINS)
        ],
    }


def popularity_lift(items: np.ndarray, history: sp.csr_matrix, popularity: np.ndarray) -> float | None:
    """How much more popular lists are than histories, relative to the histories.

    ``(GAP_lists - GAP_histories) / GAP_histories``, GAP the mean over users of the mean popularity of their
    items (Abdollahpouri et al. 2019, arXiv 1907.13286, section 4): 0 is as popular as what users choose.

    Args:
        items: Lists, -1 where one ends, ``[n, k]``.
        history: Training interactions of the same users, ``[n, I]``.
        popularity: Training interactions of each item, ``[I]``.

    Returns:
        The lift over users with a list and a history; None without any.
    """
    length, listed = np.diff(history.indptr), (items >= 0).sum(1)
    known = (length > 0) & (listed > 0)
    if not known.any():
        return None
    had = (history @ popularity)[known] / length[known]
    shown = np.where(items >= 0, popularity[items], 0).sum(1)[known] / listed[known]
    return float(shown.mean() / had.mean() - 1)


def miscalibration(items: np.ndarray, history: sp.csr_matrix, tags: sp.csr_matrix) -> Array:
    """How far the tags of each list are from those of the user's history.

    ``KL(p || (1 - a) q + a p)`` with ``a = 0.01``, ``p`` the distribution of tags in the history and ``q`` in
    the list, an item's tags weighing ``1 / number of tags`` each (Steck 2018, doi 10.1145/3240323.3240372,
    equations 2, 3, 5 and 6, all ranks and interactions weighing the same).

    Args:
        items: Lists, -1 where one ends, ``[n, k]``.
        history: Training interactions of the same users, ``[n, I]``.
        tags: Which item has which tag, ``[I, T]`` of ones.

    Returns:
        In nats, ``[n]``; NaN for users without a tagged item in the history or in the list.
    """
    weights = tag_shares(tags)
    rows, columns = np.nonzero(items >= 0)
    shape = (len(items), tags.shape[0])
    lists = sp.csr_matrix((np.ones(len(rows)), (rows, items[rows, columns])), shape=shape)
    p, q = (_distribution((matrix @ weights).toarray()) for matrix in (history.astype(np.float64), lists))
    mixed = (1 - SMOOTHING) * q + SMOOTHING * p
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / mixed), 0.0)
    found = terms.sum(1)
    found[np.isnan(p).any(1) | np.isnan(q).any(1)] = np.nan
    return np.asarray(found)


def _distribution(mass: Array) -> Array:
    total = mass.sum(1, keepdims=True)
    return np.asarray(np.divide(mass, total, out=np.full_like(mass, np.nan), where=total > 0))
