"""What re-ranked lists cost and bring."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from gnnseg.checkpoint import SavedRun
from gnnseg.data import Interactions
from gnnseg.evaluation import Evaluation, evaluate_lists
from gnnseg.fairness.exposure import exposure, miscalibration
from gnnseg.recommend import Recommender
from gnnseg.rules import Rules
from gnnseg.seeding import numpy_rng
from gnnseg.segments.traits import tag_matrix
from gnnseg.statistics import Array, compare
from gnnseg.tracking import Tracker


def reranking(
    saved: SavedRun,
    found: Evaluation,
    held_out: Interactions,
    seen: sp.csr_matrix,
    rules: Rules,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Lists by some rules against lists by score alone, for the same users.

    Args:
        saved: A run.
        found: What it reaches by score alone.
        held_out: The interactions to find.
        seen: Items never ranked, ``[U, I]``.
        rules: What lists must keep to.
        tracker: Shown the progress.

    Returns:
        ``popularity_penalty``, ``diversity``, ``calibration``, ``metrics`` of the re-ranked lists; ``cost``,
        for each metric the paired difference to lists by score with a 95 % bootstrap interval over users;
        ``exposure`` ``before`` and ``after``; and ``miscalibration`` of tags ``before`` and ``after`` with
        the paired ``difference``, None without tags.
    """
    if found.items is None:
        raise ValueError("an evaluation without lists")
    k, popularity = found.items.shape[1], np.bincount(saved.train.indices, minlength=len(saved.items))
    recommender = Recommender(replace(saved, seen=seen))
    blocks = recommender.blocks(found.users, k, rules, tracker)
    items = np.concatenate([np.where(np.isfinite(scores), items, -1) for _, items, scores in blocks])
    after = evaluate_lists(items, held_out, seen.shape, list(found.per_user), popularity)
    cost = {name: _paired(values, found.per_user[name]) for name, values in after.per_user.items()}
    return {
        "popularity_penalty": rules.popularity_penalty,
        "diversity": rules.diversity,
        "calibration": rules.calibration,
        "metrics": after.means,
        "cost": cost,
        "exposure": {"before": exposure(found.items, popularity), "after": exposure(items, popularity)},
        "miscalibration": _miscalibration(saved, found.items, items, saved.train[found.users]),
    }


def _miscalibration(
    saved: SavedRun, before: np.ndarray, after: np.ndarray, history: sp.csr_matrix
) -> dict[str, Any] | None:
    """How far the tags of lists ``[n, k]`` are from those of histories ``[n, I]``, in nats."""
    named = tag_matrix(saved.tags)
    if named is None:
        return None
    then, now = (miscalibration(items, history, named[1]) for items in (before, after))
    known = ~np.isnan(then) & ~np.isnan(now)
    if not known.any():
        return None
    then, now = then[known], now[known]
    about = {"before": float(then.mean()), "after": float(now.mean()), "users": len(now)}
    return {**about, "difference": _paired(now, then)}


def _paired(values: Array, than: Array) -> dict[str, float]:
    c = compare(values, than, numpy_rng(0, "bootstrap"))
    return {key: getattr(c, key) for key in ("difference", "relative", "low", "high", "p")}
