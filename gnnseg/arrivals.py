"""Items that nobody has yet, beside those that were trained on: where in one list they belong."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnseg.config import Config
from gnnseg.data import Interactions
from gnnseg.errors import ConfigError
from gnnseg.evaluation import evaluate
from gnnseg.new_items import NEW_ITEMS
from gnnseg.prepared import Prepared
from gnnseg.scoring import Among, Continued, Known, Scorer
from gnnseg.seeding import numpy_rng

SHIFTS = (-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Of cold items' scores against the mean of the warm ones', in standard deviations of those."""

SCALES = (0.5, 1.0, 2.0, 3.0)
"""Standard deviation of cold items' scores, in that of the warm ones'."""

MAX_USERS = 2000
"""Users of validation that the place is chosen on, at most."""


def add_new_items(
    config: Config, data: Prepared, scorer: Scorer, features: Tensor | None
) -> tuple[Scorer, dict[str, Any]]:
    """Score the items without a training interaction by their texts.

    Args:
        config: With ``new_items``.
        data: What ``scorer`` was fitted on.
        scorer: Of all items.
        features: Text features, ``[I, f]``.

    Returns:
        The scorer, and the place of cold items among the warm ones: ``shift`` and ``scale``, with the
        validation ``metric`` of each that was tried; 0 and 1 where validation has no cold items.

    Raises:
        ConfigError: Without text features.
    """
    if features is None:
        raise ConfigError("'new_items' are scored by their texts and need a 'text' encoder")
    way = NEW_ITEMS.create(config.new_items or {})
    found = way.extend(scorer, data.train, features.cpu().numpy())
    tried = _tried(config, data, found)
    shift, scale = max(tried, key=lambda place: tried[place], default=(0.0, 1.0))
    about = {
        "items": len(found.cold),
        "shift": shift,
        "scale": scale,
        "metric": config.choose_by,
        "tried": [{"shift": a, "scale": b, "value": value} for (a, b), value in tried.items()],
    }
    return found.placed(shift, scale), about


def _tried(config: Config, data: Prepared, found: Continued) -> dict[tuple[float, float], float]:
    """The validation metric of each place, among the items that are known or appear in validation."""
    valid = data.parts.valid
    cold = data.popularity[valid.items] == 0
    if not cold.any() or cold.all():
        return {}
    ranked = data.popularity > 0
    ranked[valid.items] = True
    users = numpy_rng(config.seed, "arrivals").permutation(np.unique(valid.users[cold]))[:MAX_USERS]
    chosen = np.isin(valid.users, users)
    some = Interactions(valid.users[chosen], valid.items[chosen])
    rows = torch.from_numpy(np.sort(users)).to(found.device)
    known = found.of(Known(found.whole, rows), Known(found.history, rows))
    among = torch.from_numpy(ranked).to(found.device)
    return {
        place: evaluate(Among(known.placed(*place), among), some, data.train, [config.choose_by]).means[
            config.choose_by
        ]
        for place in itertools.product(SHIFTS, SCALES)
    }
