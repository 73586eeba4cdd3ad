"""Example users: a history beside what is recommended, and what in the history speaks for it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnseg.disclosure import MIN_USERS
from gnnseg.ranking import top_k
from gnnseg.report.page.inputs import Inputs
from gnnseg.report.page.judged import Judged
from gnnseg.seeding import numpy_rng

EXAMPLES, MOST_EACH, HISTORY, LIST, REASONS = 60, 4, 24, 10, 2


@dataclass(frozen=True)
class Names:
    """What users are called, and in which order they appear.

    Attributes:
        order: Rows of the users who may be shown, ``[n]``.
        of: Name by row.
        anonymous: Whether names are made up.
    """

    order: np.ndarray
    of: dict[int, str]
    anonymous: bool


def name_users(inputs: Inputs, anonymous: bool) -> Names:
    """Outside ids; or made-up numbers in an order that nobody can undo."""
    rows = np.flatnonzero(~inputs.hidden)
    if not anonymous:
        return Names(rows, {row: inputs.saved.users.ids[row] for row in rows.tolist()}, False)
    order = np.random.default_rng(secrets.randbits(128)).permutation(rows)
    return Names(order, {row: f"user {place + 1}" for place, row in enumerate(order.tolist())}, True)


def people(inputs: Inputs, judged: Judged | None, names: Names) -> list[dict[str, Any]]:
    """A bounded number of users: typical ones and ones drawn from each segment."""
    chosen = _chosen(inputs, names)
    rows = np.array(list(chosen), dtype=np.int64)
    if not len(rows):
        return []
    items, scores = top_k(inputs.saved.scorer, rows, LIST, inputs.saved.seen)
    held_out = {} if inputs.data is None else _by_user(inputs, rows)
    positions = {} if judged is None else {int(row): n for n, row in enumerate(judged.users)}
    place = {int(row): n for n, row in enumerate(names.order)}
    found = []
    for row, best, values in zip(rows.tolist(), items, scores, strict=True):
        about = _person(inputs, row, best[np.isfinite(values)], held_out.get(row, set()))
        about |= {"name": names.of[row], "point": place[row], "role": chosen[row]}
        if judged is not None and row in positions:
            about["metrics"] = {n: round(float(v[positions[row]]), 4) for n, v in judged.served.items()}
        found.append(about)
    return found


def _chosen(inputs: Inputs, names: Names) -> dict[int, str]:
    """Rows of the examples and why each is one."""
    rng = numpy_rng(0, "page people")
    segments = [s for s in inputs.segments.get("segments", []) if not s.get("hidden")]
    if not segments:
        drawn = rng.choice(names.order, min(EXAMPLES // 2, len(names.order)), replace=False)
        return dict.fromkeys(drawn.tolist(), "drawn at random")
    each = max(1, min(MOST_EACH, EXAMPLES // len(segments)))
    row_of = {name: row for row, name in enumerate(inputs.saved.users.ids)}
    chosen: dict[int, str] = {}
    for segment in segments[:EXAMPLES]:
        near = [row_of[u] for u in segment["profile"].get("users", []) if u in row_of][: (each + 1) // 2]
        chosen |= dict.fromkeys((row for row in near if not inputs.hidden[row]), "typical")
        others = np.setdiff1d(np.flatnonzero((inputs.labels == segment["segment"]) & ~inputs.hidden), near)
        drawn = rng.choice(others, min(each - len(near), len(others)), replace=False)
        chosen |= dict.fromkeys(drawn.tolist(), "drawn at random")
    return chosen


def _person(inputs: Inputs, row: int, best: np.ndarray, held_out: set[int]) -> dict[str, Any]:
    train, called = inputs.saved.train, inputs.item_names
    history = _latest_first(inputs, row)
    memberships = inputs.saved.memberships
    shares = [] if memberships is None else memberships[row].tolist()
    sizes = np.bincount(inputs.labels[inputs.labels >= 0], minlength=len(shares))
    known = [(s, round(p, 3)) for s, p in enumerate(shares) if p >= 0.05 and sizes[s] >= MIN_USERS]
    reasons = _reasons(train, history, best)
    return {
        "segments": sorted(known, key=lambda pair: -pair[1])[:4],
        "length": len(history),
        "history": [called[item] for item in history[:HISTORY].tolist()],
        "recommended": [
            {"name": called[item], "hit": item in held_out, "why": [called[i] for i in why]}
            for item, why in zip(best.tolist(), reasons, strict=True)
        ],
        "held_out": len(held_out),
    }


def _latest_first(inputs: Inputs, row: int) -> np.ndarray:
    """Items of a user, ``[m]``: the latest first, without times the rarest first."""
    train = inputs.saved.train
    items: np.ndarray = train.indices[train.indptr[row] : train.indptr[row + 1]].astype(np.int64)
    data = None if inputs.data is None else inputs.data.parts.train
    rank: list[float]
    if data is not None and data.times is not None:
        own = data.users == row
        latest = dict(zip(data.items[own].tolist(), data.times[own].tolist(), strict=True))
        rank = [-latest.get(item, 0) for item in items.tolist()]
    else:
        rank = inputs.graph.degrees.numpy()[len(inputs.labels) :][items].tolist()
    ordered: np.ndarray = items[np.argsort(rank, kind="stable")]
    return ordered


def _reasons(train: Any, history: np.ndarray, best: np.ndarray) -> list[list[int]]:
    """For each recommended item those of the history that most of its users share, by cosine.

    Evidence in the data, whatever the model: not a claim of how it computed the score. Pairs that fewer than
    10 users share are left out.
    """
    if not len(history) or not len(best):
        return [[] for _ in best]
    columns = train.tocsc() if train.format != "csc" else train
    old, new = columns[:, history], columns[:, best]
    both = (old.T @ new).toarray()
    cosine = both / np.sqrt(np.outer(old.getnnz(axis=0), np.maximum(new.getnnz(axis=0), 1)))
    cosine[both < MIN_USERS] = 0
    order = np.argsort(-cosine, axis=0, kind="stable")[:REASONS]
    return [[int(history[i]) for i in order[:, j] if cosine[i, j] > 0] for j in range(len(best))]


def _by_user(inputs: Inputs, rows: np.ndarray) -> dict[int, set[int]]:
    """Test items of some users."""
    if inputs.data is None:
        return {}
    test = inputs.data.parts.test
    found: dict[int, set[int]] = {}
    for at in np.flatnonzero(np.isin(test.users, rows)).tolist():
        found.setdefault(int(test.users[at]), set()).add(int(test.items[at]))
    return found
