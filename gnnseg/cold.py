"""How good a model is for items and users that a split keeps out of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from gnnseg.evaluation import evaluate, evaluate_cold_items
from gnnseg.new_users import Prior
from gnnseg.newcomers import Newcomers
from gnnseg.prepared import Prepared
from gnnseg.scoring import Scorer
from gnnseg.statistics import compare


def cold_items(scorer: Scorer, data: Prepared) -> dict[str, Any] | None:
    """Test metrics of cold and warm items apart, with intervals; None unless the split keeps items apart.

    Args:
        scorer: What is judged.
        data: With its split.

    Returns:
        For each kind that :func:`gnnseg.evaluation.evaluate_cold_items` tells apart, its metrics.
    """
    if not data.keeps_items_apart:
        return None
    found = evaluate_cold_items(scorer, data.parts.test, data.seen, data.train, data.config.metrics)
    return {kind: one.intervals() for kind, one in found.items()}


def cold_users(newcomers: Newcomers, prior: Prior | None, data: Prepared) -> dict[str, Any] | None:
    """Test metrics of new users by length of history, with intervals; None unless users are kept apart.

    Args:
        newcomers: The fitted scorer for others.
        prior: What lists for them start from, or None.
        data: With its split.

    Returns:
        By length: ``by_history``, the scores by history alone; ``with_popularity`` and ``with_groups``, those
        with the prior; and the ``gain`` of the last over the one before by a paired test.
    """
    if data.parts.given is None:
        return None
    test, metrics = data.parts.test, data.config.metrics
    test = test[data.lengths[test.users] == 0]
    groups = None if prior is None else prior.groups_of(data.user_rows(prior.columns))
    told: dict[str, Any] = {}
    for length in data.history_lengths:
        histories = data.parts.histories(length).matrix(*data.train.shape)
        own, _ = newcomers.of(histories)
        scorers = {"by_history": own}
        if prior is not None and groups is not None:
            scorers["with_popularity"] = prior.beside(own, histories, torch.zeros_like(groups))
            scorers["with_groups"] = prior.beside(own, histories, groups)
        found = {name: evaluate(scorer, test, histories, metrics) for name, scorer in scorers.items()}
        told[str(length)] = {name: one.intervals() for name, one in found.items()}
        if "with_groups" in found:
            told[str(length)]["gain"] = {}
            for metric in metrics:
                new, old = (found[name].per_user[metric] for name in ("with_groups", "with_popularity"))
                gain = compare(new, old, np.random.default_rng(0))
                told[str(length)]["gain"][metric] = {"relative": gain.relative, "p": gain.p}
    return told
