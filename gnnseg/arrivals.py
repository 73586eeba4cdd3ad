"""Items that nobody has yet, beside those that were trained on: where in one list they belong."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import scipy.sparse as sp
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

SHIFTS = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
"""Of cold items' scores against the mean of the warm ones', in standard deviations of those."""

SCALES = (0.5, 1.0, 2.0, 3.0, 5.0)
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
    rng = numpy_rng(config.seed, "arrivals")
    tried = try_places(found, data.parts.valid, data.train, config.choose_by, rng)
    shift, scale = max(tried, key=lambda place: tried[place], default=(0.0, 1.0))
    about = {
        "items": len(found.cold),
        "shift": shift,
        "scale": scale,
        "metric": config.choose_by,
        "tried": [{"shift": a, "scale": b, "value": value} for (a, b), value in tried.items()],
    }
    return found.placed(shift, scale), about


def try_places(
    found: Continued, valid: Interactions, train: sp.csr_matrix, metric: str, rng: np.random.Generator
) -> dict[tuple[float, float], float]:
    """A metric for each place of cold items among the warm ones.

    Args:
        found: With cold items.
        valid: Pairs to find; cold items that are in none of them are not ranked, as if they came later.
        train: Items never ranked, ``[U, I]``.
        metric: Such as ``ndcg@20``.
        rng: Draws users if there are too many.

    Returns:
        The metric by shift and scale; nothing where ``valid`` has no cold items, or nothing else.
    """
    known = np.zeros(train.shape[1], dtype=bool)
    known[found.warm.cpu().numpy()] = True
    cold = ~known[valid.items]
    if not cold.any() or cold.all():
        return {}
    known[valid.items] = True
    among = torch.from_numpy(known).to(found.device)
    users = rng.permutation(np.unique(valid.users[cold]))[:MAX_USERS]
    some = valid[np.isin(valid.users, users)]
    rows = torch.from_numpy(np.sort(users)).to(found.device)
    quick = found.of(Known(found.whole, rows), Known(found.history, rows))
    places = itertools.product(SHIFTS, SCALES)
    return {
        place: evaluate(Among(quick.placed(*place), among), some, train, [metric]).means[metric]
        for place in places
    }
