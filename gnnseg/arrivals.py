"""Items that nobody has yet and users of whom little is known, beside those that were trained on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.config import Config
from gnnseg.data import Interactions
from gnnseg.data.splits.base import first
from gnnseg.errors import ConfigError
from gnnseg.evaluation import evaluate
from gnnseg.new_items import NEW_ITEMS
from gnnseg.new_users import NEW_USERS, Prior
from gnnseg.newcomers import Newcomers
from gnnseg.prepared import Prepared
from gnnseg.scoring import Among, Continued, Known, Scorer
from gnnseg.seeding import numpy_rng

SHIFTS = (-1.0, 0.0, 1.0, 2.0, 3.0, 4.0)
"""Of cold items' scores against the mean of the warm ones', in standard deviations of those."""

SCALES = (0.5, 1.0, 2.0, 3.0, 5.0)
"""Standard deviation of cold items' scores, in that of the warm ones'."""

POPULARITY = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Of popularity beside scores by a short history."""

LIFTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Of what a user's groups like more than others, in standard deviations of the scores."""

MAX_USERS = 2000
"""Users of validation that places and weights are chosen on, at most."""


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
    base, shifted, scaled = (Known.of(found.placed(*place), rows) for place in ((0, 0), (1, 0), (0, 1)))
    by_shift, by_scale = shifted.scores - base.scores, scaled.scores - base.scores  # zero for warm items
    tried = {}
    for shift, scale in itertools.product(SHIFTS, SCALES):
        placed = Known(rows, base.scores + shift * by_shift + scale * by_scale)
        tried[shift, scale] = evaluate(Among(placed, among), some, train, [metric]).means[metric]
    return tried


def add_new_users(config: Config, data: Prepared, newcomers: Newcomers) -> tuple[Prior, dict[str, Any]]:
    """What lists for users with few interactions start from, and how much of it counts.

    Args:
        config: With ``new_users``.
        data: What was fitted on. Where its split keeps users apart, weights are chosen on those in
            validation, otherwise on users of validation as if a few training items were all they have.
        newcomers: The fitted scorer for others.

    Returns:
        The prior, and the ``metric`` under the weights chosen for each length of history.

    Raises:
        ConfigError: Without validation, or if the scorer knows users by vectors of their own alone.
    """
    metric = config.choose_by
    prior, groups = NEW_USERS.create(config.new_users or {}).fit(data.graph, data.users)
    told = []
    for length, histories, held_out, seen in _short(config, data):
        scorer, _ = newcomers.of(histories)
        known = Known.of(scorer, torch.from_numpy(np.unique(held_out.users)).to(scorer.device))
        shares = POPULARITY if length else (1.0,)
        told.append({"length": length, **_weigh(prior, known, groups, shares, held_out, seen, metric)})
    rule = tuple((float(one["length"]), one["popularity"], one["lift"]) for one in told)
    return replace(prior, rule=rule), {"metric": metric, "lengths": told}


def _weigh(
    prior: Prior,
    scorer: Scorer,
    groups: Tensor,
    shares: Sequence[float],
    held_out: Interactions,
    seen: sp.csr_matrix,
    metric: str,
) -> dict[str, float]:
    """The best weights of popularity, then of the groups' lifts, and the metric under them."""

    def judged(popularity: float, lift: float) -> float:
        weights = torch.tensor([[popularity, lift]]).expand(len(groups), 2)
        on = prior.weighted(scorer, weights, groups)
        return evaluate(on, held_out, seen, [metric]).means[metric]

    popularity = max(shares, key=lambda one: judged(one, 0.0))
    lift = max(LIFTS if groups.shape[1] else (0.0,), key=lambda one: judged(popularity, one))
    return {"popularity": popularity, "lift": lift, "value": judged(popularity, lift)}


def _short(
    config: Config, data: Prepared
) -> Iterator[tuple[int, sp.csr_matrix, Interactions, sp.csr_matrix]]:
    """Lengths, histories ``[U, I]`` of that length, what to find, and items never ranked, ``[U, I]``."""
    shape, rng = data.train.shape, numpy_rng(config.seed, "new users")
    valid = data.parts.valid
    if data.parts.given is not None:
        valid = valid[data.lengths[valid.users] == 0]
    users = rng.permutation(np.unique(valid.users))[:MAX_USERS]
    valid = valid[np.isin(valid.users, users)]
    if not len(valid):
        raise ConfigError("'new_users' are weighed on validation, which is empty; set 'valid' above 0")
    for length in data.history_lengths:
        if data.parts.given is None:  # what else they have in training is neither known nor to be found
            train = data.parts.train
            given, seen = first(train[np.lexsort((rng.random(len(train)), train.users))], length), data.train
        else:
            given, seen = data.parts.histories(length), None
        histories = given.matrix(*shape)
        told = valid[np.diff(histories.indptr)[valid.users] == length]
        if len(told):
            yield length, histories, told, histories if seen is None else seen
