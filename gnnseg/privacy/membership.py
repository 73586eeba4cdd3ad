"""Whether scores give away which interactions a model was trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from gnnseg import environment
from gnnseg.checkpoint import SavedRun
from gnnseg.errors import DataError
from gnnseg.prepared import prepare_again
from gnnseg.ranking import BLOCK_SCORES
from gnnseg.scoring import Scorer
from gnnseg.seeding import numpy_rng
from gnnseg.statistics import Array, compare, mean_interval
from gnnseg.tracking import Tracker

ATTACKER = (
    "knows the ids and sees the score of any user and item, not only lists; of two interactions that a user "
    "had, one trained on and one held out, the one with the higher score is said to be trained on"
)

MAX_USERS = 2_000
"""Users that are attacked; of more, so many are drawn."""

FALSE_ALARMS = 0.01


def audit_run(
    saved: SavedRun,
    max_users: int = MAX_USERS,
    seed: int = 0,
    device: str = "auto",
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Attack a saved run, its test interactions held out: :func:`membership`.

    Args:
        saved: A finished run.
        max_users: Users to attack, at most.
        seed: Of the users drawn.
        device: Where to score.
        tracker: Shown the progress of reading.

    Raises:
        CheckpointError: If the data are not those the run was trained on.
        DataError: If no user has interactions of both kinds.
    """
    target = environment.find_device(device)
    test = prepare_again(saved, target, tracker).parts.test.matrix(*saved.train.shape)
    return membership(saved.scorer.to(target), saved.train, test, max_users, seed)


def membership(
    scorer: Scorer, train: sp.csr_matrix, held_out: sp.csr_matrix, max_users: int = MAX_USERS, seed: int = 0
) -> dict[str, Any]:
    """Attack a model by its scores: a membership inference (Shokri et al. 2017, arXiv 1610.05820).

    Both kinds of pairs are things that the user did, so an attacker who only knows tastes is right as often
    as wrong; an AUC above 0.5 is what the model remembers of single interactions. Where the held-out part is
    later or rarer than training, not divided from it at random, that difference counts as well.

    Args:
        scorer: The model.
        train: What it was trained on, ``[U, I]``.
        held_out: What it was not trained on, ``[U, I]``.
        max_users: Users to attack, at most.
        seed: Of the users drawn.

    Returns:
        ``attacker`` in words; ``auc`` within users, mean with a 95 % bootstrap interval over users; the same
        as ``popularity_auc`` of an attacker who sees how many training users each item has, and no scores;
        ``difference`` of both with its interval and p; ``found_at_1_percent``, the share of training
        interactions found where 1 % of held-out ones are taken for such (Carlini et al. 2022, arXiv
        2112.03570), scores standardised within users; ``users``, ``trained_on`` and ``held_out`` (pairs).

    Raises:
        DataError: If no user has interactions of both kinds.
    """
    rows = np.flatnonzero((np.diff(train.indptr) > 0) & (np.diff(held_out.indptr) > 0))
    if not len(rows):
        raise DataError("no user has both training and held-out interactions; there is nothing to tell apart")
    if len(rows) > max_users:
        rows = np.sort(numpy_rng(seed, "audit").choice(rows, max_users, replace=False))
    popularity = np.bincount(train.indices, minlength=train.shape[1]).astype(np.float64)
    pairs: dict[str, list[Array]] = {"in": [], "out": []}
    aucs = []
    for row, scores in zip(rows.tolist(), _standardised(scorer, rows), strict=True):
        own, other = (_items(matrix, row) for matrix in (train, held_out))
        pairs["in"].append(scores[own])
        pairs["out"].append(scores[other])
        aucs.append([auc(scores[own], scores[other]), auc(popularity[own], popularity[other])])
    inside, outside = (np.concatenate(pairs[kind]) for kind in ("in", "out"))
    by_score, by_popularity = np.array(aucs).T
    c = compare(by_score, by_popularity, numpy_rng(0, "bootstrap"))
    return {
        "attacker": ATTACKER,
        "auc": _interval(by_score),
        "popularity_auc": _interval(by_popularity),
        "difference": {"mean": c.difference, "low": c.low, "high": c.high, "p": c.p},
        "found_at_1_percent": float((inside > np.quantile(outside, 1 - FALSE_ALARMS)).mean()),
        "users": len(rows),
        "trained_on": len(inside),
        "held_out": len(outside),
    }


def auc(inside: Array, outside: Array) -> float:
    """How often one of ``inside [a]`` is above one of ``outside [b]``, ties counting half."""
    ordered = np.sort(outside)
    below, up_to = (np.searchsorted(ordered, inside, side=side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(outside)))


@torch.inference_mode()
def _standardised(scorer: Scorer, rows: np.ndarray) -> Any:
    """Each user's scores ``[I]`` in standard deviations, in turn."""
    some = torch.from_numpy(rows).to(scorer.device)
    for block in some.split(max(1, BLOCK_SCORES // scorer.num_items)):
        scores = scorer.score(block).double().cpu().numpy()
        scores -= scores.mean(1, keepdims=True)
        yield from scores / np.maximum(scores.std(1, keepdims=True), 1e-12)


def _items(matrix: sp.csr_matrix, row: int) -> np.ndarray:
    found: np.ndarray = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
    return found


def _interval(values: Array) -> dict[str, float]:
    found = mean_interval(values, numpy_rng(0, "bootstrap"))
    return {"mean": found.mean, "low": found.low, "high": found.high}
