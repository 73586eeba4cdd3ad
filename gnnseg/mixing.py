"""An encoder's scores and an item-item term in one sum, its weight chosen on validation."""

from __future__ import annotations

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
"""Tried where the config gives none; 0 is the encoder alone."""

MAX_USERS = 2000
"""Users of validation that a weight is chosen on, at most; their scores are held at once."""


def mix(config: Config, data: Prepared, scorer: Scorer, term: Scorer) -> tuple[Scorer, dict[str, Any]]:
    """Sum an encoder's scorer with the config's item-item term.

    Args:
        config: With ``term``.
        data: What both were fitted on.
        scorer: The encoder's, or the segmented model's.
        term: Fitted.

    Returns:
        The sum, or ``scorer`` itself where the best weight is 0; and the ``weight`` of the term, with the
        validation ``metric`` under each weight that was tried.

    Raises:
        ConfigError: If a weight must be chosen and there is no validation.
    """
    weight, tried = config.term_weight, {}
    if weight is None:
        tried = _tried(config, data, scorer, term)
        weight = max(tried, key=lambda one: (tried[one], -one))
    about = {"weight": weight, "metric": config.choose_by, "tried": {str(w): v for w, v in tried.items()}}
    return (_sum(scorer, term, weight) if weight else scorer), about


def _sum(scorer: Scorer, term: Scorer, weight: float) -> Mixture:
    return Mixture([scorer, term], torch.tensor([1.0, weight], device=scorer.device))


def _tried(config: Config, data: Prepared, scorer: Scorer, term: Scorer) -> dict[float, float]:
    """The validation metric under each weight."""
    valid = data.choosing
    if not len(valid):
        raise ConfigError("the weight of 'term' is chosen on validation, which is empty; give 'term_weight'")
    users = np.unique(valid.users)
    users = np.sort(numpy_rng(config.seed, "mixing").permutation(users)[:MAX_USERS])
    chosen = np.isin(valid.users, users)
    some = Interactions(valid.users[chosen], valid.items[chosen])
    rows = torch.from_numpy(users).to(scorer.device)
    own, other = Known.of(scorer, rows), Known.of(term, rows)
    metric = config.choose_by
    return {w: evaluate(_sum(own, other, w), some, data.train, [metric]).means[metric] for w in WEIGHTS}
