"""An encoder's scores and further terms in one sum, their weights chosen on validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from gnnseg.config import Config
from gnnseg.data import Interactions
from gnnseg.errors import ConfigError
from gnnseg.evaluation import evaluate
from gnnseg.prepared import Prepared
from gnnseg.scoring import Known, Mixture, Scorer
from gnnseg.seeding import numpy_rng

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Tried for each term where the config gives none; 0 leaves it out."""

MAX_USERS = 2000
"""Users of validation that a weight is chosen on, at most; their scores are held at once."""

PASSES = 3
"""How often the weights of several terms are gone through, at most."""


def mix(
    config: Config, data: Prepared, scorer: Scorer, terms: Sequence[Scorer]
) -> tuple[Scorer, dict[str, Any]]:
    """Sum an encoder's scorer with the config's terms.

    Weights that are not given are chosen one after another, the others fixed, until none changes: all begin
    at 0, so that terms stand in the order in which they should be tried.

    Args:
        config: With ``term``.
        data: What all were fitted on.
        scorer: The encoder's, or the segmented model's.
        terms: Fitted, in the order of the config.

    Returns:
        The sum of what has a weight, or ``scorer`` itself where no term has; and the ``weights`` of the
        terms, with the validation ``metric`` under each weight that was ``tried`` last for each term.

    Raises:
        ConfigError: If weights must be chosen and there is no validation.
    """
    if config.term_weight is None:
        weights, tried = _chosen(config, data, scorer, terms)
    else:
        weights, tried = list(config.term_weight), [dict[float, float]() for _ in terms]
    about = {
        "weights": weights,
        "metric": config.choose_by,
        "tried": [{str(w): value for w, value in one.items()} for one in tried],
    }
    return (_sum(scorer, terms, weights) if any(weights) else scorer), about


def _sum(scorer: Scorer, terms: Sequence[Scorer], weights: Sequence[float]) -> Mixture:
    used = [(term, weight) for term, weight in zip(terms, weights, strict=True) if weight]
    total = torch.tensor([1.0, *(weight for _, weight in used)], device=scorer.device)
    return Mixture([scorer, *(term for term, _ in used)], total)


def _chosen(
    config: Config, data: Prepared, scorer: Scorer, terms: Sequence[Scorer]
) -> tuple[list[float], list[dict[float, float]]]:
    """The weights that are best on validation, and its metric under each that was tried."""
    some = _some_of(config, data)
    rows = torch.from_numpy(np.unique(some.users)).to(scorer.device)
    own, others = Known.of(scorer, rows), [Known.of(term, rows) for term in terms]
    metric = config.choose_by
    weights, tried = [0.0] * len(terms), [dict[float, float]() for _ in terms]
    for _ in range(PASSES if len(terms) > 1 else 1):
        before = list(weights)
        for place in range(len(terms)):
            for weight in WEIGHTS:
                weights[place] = weight
                found = evaluate(_sum(own, others, weights), some, data.train, [metric])
                tried[place][weight] = found.means[metric]
            weights[place] = max(WEIGHTS, key=lambda one: (tried[place][one], -one))
        if weights == before:
            break
    return weights, tried


def _some_of(config: Config, data: Prepared) -> Interactions:
    """Validation of no more users than fit in memory."""
    valid = data.choosing
    if not len(valid):
        raise ConfigError("the weight of 'term' is chosen on validation, which is empty; give 'term_weight'")
    users = np.unique(valid.users)
    users = np.sort(numpy_rng(config.seed, "mixing").permutation(users)[:MAX_USERS])
    chosen = np.isin(valid.users, users)
    return Interactions(valid.users[chosen], valid.items[chosen])
