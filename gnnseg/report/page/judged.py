"""How good the run is for each user, and its segments against the global model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gnnseg.data import Interactions
from gnnseg.disclosure import MIN_USERS
from gnnseg.evaluation import evaluate
from gnnseg.report.page.inputs import Inputs
from gnnseg.scoring import DotProduct, Gated, Mixture, Scorer
from gnnseg.seeding import numpy_rng
from gnnseg.statistics import Array, mean_interval

MAX_JUDGED = 4_000
"""Test users that are ranked for a page; of more, so many are drawn."""

RESAMPLES = 2_000


@dataclass(frozen=True)
class Judged:
    """Test metrics by user, of the model that is served and of the global one.

    Attributes:
        users: Rows of the users, ``[n]``.
        served: By metric, ``[n]`` each.
        whole: The same of the global model; None where it is the same model.
        drawn: Whether these are only some of the test users.
    """

    users: np.ndarray
    served: dict[str, Array]
    whole: dict[str, Array] | None
    drawn: bool


def judge(inputs: Inputs) -> Judged | None:
    """Rank test users with the run and with its global model; None without data."""
    if inputs.data is None:
        return None
    users = np.unique(inputs.data.parts.test.users)
    drawn = len(users) > MAX_JUDGED
    if drawn:
        users = np.sort(numpy_rng(0, "page users").choice(users, MAX_JUDGED, replace=False))
    served = metrics_of(inputs, inputs.saved.scorer, users)
    other = global_scorer(inputs)
    return Judged(users, served, None if other is None else metrics_of(inputs, other, users), drawn)


def metrics_of(inputs: Inputs, scorer: Scorer, users: np.ndarray) -> dict[str, Array]:
    """The metric that chose the model and one of recall, by user, ``[n]`` each."""
    if inputs.data is None:
        return {}
    test: Interactions = inputs.data.parts.test
    held_out = test[np.isin(test.users, users)]
    chosen = inputs.saved.config.choose_by
    recall = [m for m in inputs.data.config.metrics if m.startswith("recall@") and m != chosen][:1]
    return dict(evaluate(scorer, held_out, inputs.data.seen, [chosen, *recall]).per_user)


@torch.no_grad()
def global_scorer(inputs: Inputs) -> Scorer | None:
    """The run's scorer without what it does for segments; None where there is nothing of that kind."""
    scorer = inputs.saved.scorer
    gated = isinstance(scorer, Gated)
    whole = scorer.whole if isinstance(scorer, Gated) else scorer
    if inputs.saved.config.head is None:
        return whole if gated else None
    model = inputs.saved.model()
    if model is None:
        return None
    plain = DotProduct(*model.encoder(inputs.graph))
    if isinstance(whole, Mixture):
        return Mixture([plain, *list(whole.scorers)[1:]], whole.weights)  # type: ignore[list-item]
    return plain


def by_segment(inputs: Inputs, judged: Judged | None) -> dict[str, Any] | None:
    """Metrics of each segment with 95 % intervals, served and global, and their paired difference.

    Segments with fewer than 10 users, or fewer than 10 ranked ones, are left out.
    """
    if judged is None:
        return None
    own = np.where(inputs.hidden, -1, inputs.labels)[judged.users]
    groups = [(None, np.ones(len(own), dtype=bool))] + [(int(s), own == s) for s in np.unique(own[own >= 0])]
    rows = [
        {"segment": segment, "users": int(inside.sum()), **_row(judged, inside)}
        for segment, inside in groups
        if inside.sum() >= MIN_USERS
    ]
    return {"metrics": list(judged.served), "drawn": judged.drawn, "users": len(own), "rows": rows}


def _row(judged: Judged, inside: np.ndarray) -> dict[str, Any]:
    row: dict[str, Any] = {"served": {n: interval(v[inside]) for n, v in judged.served.items()}}
    if judged.whole is not None:
        row["global"] = {n: interval(v[inside]) for n, v in judged.whole.items()}
        row["difference"] = {n: interval((v - judged.whole[n])[inside]) for n, v in judged.served.items()}
    return row


def interval(values: Array) -> dict[str, float]:
    """``mean``, ``low`` and ``high`` of ``[n]`` users' values: 95 % bootstrap over users."""
    found = mean_interval(values, numpy_rng(0, "page bootstrap"), resamples=RESAMPLES)
    return {name: round(float(getattr(found, name)), 6) for name in ("mean", "low", "high")}
