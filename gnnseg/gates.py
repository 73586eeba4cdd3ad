"""How much of a local model each user gets beside the global one; nothing where it does not help.

A gate is ``g_u = a m_s / (1 + h_u / f)``: ``a`` for a user without history, fading with the length ``h_u`` of
the history at a pace ``f``, times ``m_s`` for the user's strongest segment; users in none get none. All
three are chosen from a few values by the validation metric, segments' shrunk to everybody's. Whether the
choice is worth anything is told by users it was not made on: five folds, chosen on four and read on the
fifth.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from gnnseg.data import Interactions
from gnnseg.evaluation import evaluate
from gnnseg.scoring import MAX_GATE, Gated, Gates, LocalScorer, Scorer, spread, strongest
from gnnseg.statistics import compare

VALUES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, MAX_GATE)
"""Gates whose metric is measured; others are read off at the nearest."""

SCALES = (0.0, *np.geomspace(0.05, 20.0, 14).tolist())
"""Gates of a user without history."""

FADES = (3.0, 10.0, 30.0, 100.0, np.inf)
"""Lengths of history at which a gate has halved."""

FACTORS = (0.0, 0.5, 1.0, 2.0)
"""Of a segment, of everybody's gate."""

SHRINKAGE = 500.0
"""Users of everybody's mean that each segment's is mixed with."""

FOLDS = 5

MAX_USERS = 8_000
"""Users of validation that gates are chosen on, at most."""

BLOCK_SCORES = 2**25
"""Scores held at once for each of the two models: 128 MiB of float32."""


def choose_gates(
    whole: Scorer,
    local: LocalScorer,
    valid: Interactions,
    train: sp.csr_matrix,
    metric: str,
    rng: np.random.Generator,
) -> tuple[Gates, dict[str, Any]]:
    """Choose gates on validation.

    Args:
        whole: The global scorer.
        local: The local model's.
        valid: Interactions to find.
        train: Interactions that histories consist of, never ranked, ``[U, I]``.
        metric: What to choose by.
        rng: Draws the users that are looked at, and folds.

    Returns:
        Gates, all zero where the gain on users that they were not chosen on is not above zero at a one-sided
        level of 5 %; and what is to be told of it: the ``gain`` there, ``relative``, ``low`` and ``high``
        (95 %, relative too), ``p``, what is ``served`` and the gates' numbers.
    """
    users = np.sort(rng.permutation(np.unique(valid.users))[:MAX_USERS])
    curves = _curves(whole, local, users, valid, train, metric)
    lengths = np.diff(train.indptr)[users]
    labels = strongest(local.memberships.cpu().numpy()[users])
    num_segments = local.memberships.shape[1]
    found = compare(_cross_fitted(curves, lengths, labels, num_segments, rng), curves[:, 0], rng)
    gates = _best(curves, lengths, labels, num_segments)
    helps = found.difference > 0 and found.p / 2 < 0.05 and gates.opens
    if not helps:
        gates = Gates(0.0, np.inf, np.ones(num_segments))
    base = max(float(curves[:, 0].mean()), 1e-12)
    return gates, {
        "metric": metric,
        "served": "local" if helps else "global",
        "gain": found.difference,
        "relative": found.difference / base,
        "low": found.low / base,
        "high": found.high / base,
        "p": found.p,
        "users": len(users),
        "scale": gates.scale,
        "fade": gates.fade if np.isfinite(gates.fade) else None,
        "factors": gates.factors.tolist(),
    }


def gated(whole: Scorer, local: LocalScorer, gates: Gates, lengths: np.ndarray) -> Scorer:
    """Both scorers in one; the global one itself where no gate is open.

    Args:
        whole: The global scorer.
        local: The local model's, of ``U`` users.
        gates: How much of it.
        lengths: Of the users' histories, ``[U]``.
    """
    if not gates.opens:
        return whole
    each = gates.of(lengths, local.memberships.cpu().numpy())
    values = (torch.from_numpy(part).float().to(whole.device) for part in (each, gates.rule))
    return Gated(whole, local, *values)


def _curves(
    whole: Scorer,
    local: LocalScorer,
    users: np.ndarray,
    valid: Interactions,
    train: sp.csr_matrix,
    metric: str,
) -> np.ndarray:
    """Each user's metric under each of ``VALUES``, ``[n, len(VALUES)]``."""
    size = max(1, BLOCK_SCORES // whole.num_items)
    order = np.argsort(valid.users, kind="stable")
    sorted_users = valid.users[order]
    blocks = []
    for some in np.array_split(users, max(1, -(-len(users) // size))):
        pairs = order[
            np.searchsorted(sorted_users, some[0]) : np.searchsorted(sorted_users, some[-1], "right")
        ]
        pairs = pairs[np.isin(valid.users[pairs], some)]
        held = Interactions(np.searchsorted(some, valid.users[pairs]), valid.items[pairs])
        rows = torch.from_numpy(some).to(whole.device)
        both = _Both(whole.score(rows), local.score(rows))
        columns = []
        for value in VALUES:
            both.gate = value
            columns.append(evaluate(both, held, train[some], [metric]).per_user[metric])
        blocks.append(np.stack(columns, axis=1))
    return np.concatenate(blocks)


class _Both(Scorer):
    """Scores known before, and one gate for everybody."""

    def __init__(self, whole: torch.Tensor, local: torch.Tensor) -> None:
        super().__init__()
        self.num_items = whole.shape[1]
        self.gate = 0.0
        self.register_buffer("whole", whole)
        self.register_buffer("part", spread(whole) * local)

    def score(self, users: torch.Tensor) -> torch.Tensor:
        """``[B] -> [B, I]``."""
        return self.whole[users] + self.gate * self.part[users]  # type: ignore[index]


def _cross_fitted(
    curves: np.ndarray, lengths: np.ndarray, labels: np.ndarray, num_segments: int, rng: np.random.Generator
) -> np.ndarray:
    """Each user's metric under gates that were chosen on the users of other folds, ``[n]``."""
    folds = rng.permutation(len(curves)) % FOLDS
    gained = curves[:, 0].copy()
    for fold in range(min(FOLDS, len(curves))):
        inside = folds == fold
        if inside.all():  # a single user: nobody to choose on
            break
        rest = _best(curves[~inside], lengths[~inside], labels[~inside], num_segments)
        gained[inside] = _read(rest, curves[inside], lengths[inside], labels[inside])
    return gained


def _best(curves: np.ndarray, lengths: np.ndarray, labels: np.ndarray, num_segments: int) -> Gates:
    """The gates with the largest mean; the smallest of equals."""
    everybody = np.ones(num_segments)
    candidates = [Gates(a, f, everybody) for a, f in itertools.product(SCALES, FADES)]
    means = [_read(one, curves, lengths, labels).mean() for one in candidates]
    best = candidates[int(np.argmax(means))]
    if best.scale == 0:
        return best
    inside = labels >= 0  # the others' metric is the same under all gates
    curves, lengths, labels = curves[inside], lengths[inside], labels[inside]
    read = np.stack(
        [_read(Gates(best.scale * m, best.fade, everybody), curves, lengths, labels) for m in FACTORS], axis=1
    )
    counts = np.bincount(labels, minlength=num_segments).astype(np.float64)
    sums = np.stack([np.bincount(labels, one, num_segments) for one in read.T], axis=1)
    shrunk = (sums + SHRINKAGE * read.mean(0)) / (counts + SHRINKAGE)[:, None]
    return Gates(best.scale, best.fade, np.asarray(FACTORS)[shrunk.argmax(1)])


def _read(gates: Gates, curves: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each user's metric under its gate, ``[n]``: that of the nearest value measured."""
    middles = (np.asarray(VALUES[1:]) + np.asarray(VALUES[:-1])) / 2
    place = np.searchsorted(middles, gates.at(lengths, labels))
    found: np.ndarray = curves[np.arange(len(curves)), place]
    return found
