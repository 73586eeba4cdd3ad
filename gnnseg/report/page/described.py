"""Cards of segments and the heat map of what they like."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnseg.report.page.inputs import Inputs, shortened
from gnnseg.report.page.people import Names
from gnnseg.segments.lifts import lifts
from gnnseg.segments.traits import tag_matrix, word_matrix

DAY = 86_400
COLUMNS = 20
"""Traits that the heat map shows, those that tell segments apart most."""

LEVEL = 0.05


def cards(inputs: Inputs, names: Names) -> list[dict[str, Any]]:
    """What is known of each segment, its users named as on the rest of the page.

    Of a group of fewer than 10 users only its number is told.
    """
    recency, span = _times(inputs)
    lengths = np.diff(inputs.saved.train.indptr)
    found = []
    for segment in inputs.segments.get("segments", []):
        inside = (inputs.labels == segment["segment"]) & ~inputs.hidden
        if segment.get("hidden") or not inside.any():
            found.append({"segment": segment["segment"], "hidden": True, "name": "", "users": None})
            continue
        profile = dict(segment["profile"])
        profile["users"] = [_called(inputs, names, user) for user in profile.get("users", [])]
        card = {key: segment.get(key) for key in ("segment", "name", "group", "users", "share", "activity")}
        card |= {"hidden": False, "profile": _short(profile), "frequency": _quartiles(lengths[inside])}
        if recency is not None and span is not None:
            known = inside & np.isfinite(recency)
            card |= {"recency": _quartiles(recency[known]), "span": _quartiles(span[known])}
        found.append(card)
    return found


def _called(inputs: Inputs, names: Names, user: str) -> str:
    return names.of.get(int(inputs.saved.users.rows([user])[0]), "")


def _short(profile: dict[str, Any]) -> dict[str, Any]:
    """The profile with names that are not too long."""

    def cut(entry: Any) -> Any:
        return {**entry, "name": shortened(entry["name"])} if isinstance(entry, dict) else shortened(entry)

    return {key: [cut(entry) for entry in entries] for key, entries in profile.items()}


def _quartiles(values: np.ndarray) -> list[float] | None:
    """The quarter, the half and the three quarters."""
    return None if not len(values) else [round(float(q), 1) for q in np.quantile(values, [0.25, 0.5, 0.75])]


def _times(inputs: Inputs) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Days from each user's last training interaction to the last of all, and from first to last, ``[U]``."""
    train = None if inputs.data is None else inputs.data.parts.train
    if train is None or train.times is None:
        return None, None
    last, first = np.full(len(inputs.labels), -np.inf), np.full(len(inputs.labels), np.inf)
    np.maximum.at(last, train.users, train.times)
    np.minimum.at(first, train.users, train.times)
    return (last.max() - last) / DAY, (last - first) / DAY


def heat(inputs: Inputs) -> dict[str, Any] | None:
    """Lift of tags, or without tags of words, in each segment; None without segments or traits."""
    if inputs.saved.memberships is None:
        return None
    tags = inputs.saved.tags if inputs.data is None else inputs.data.dataset.tags
    traits, kind = tag_matrix(tags), "genres"
    if traits is None:
        traits, kind = word_matrix(inputs.saved.texts), "words of the texts"
    if traits is None:
        return None
    found = lifts(inputs.graph, inputs.saved.memberships.numpy(), *traits)
    shown = [s["segment"] for s in inputs.segments.get("segments", []) if not s.get("hidden")]
    strength = np.abs(np.log(np.maximum(found.lift[shown], 1e-3)))
    strength = np.where(found.q[shown] <= LEVEL, strength + 10, strength).max(0, initial=0)
    columns = np.argsort(-strength, kind="stable")[:COLUMNS]
    columns = columns[np.argsort([found.names[c].casefold() for c in columns], kind="stable")]
    return {
        "kind": kind,
        "columns": [shortened(found.names[c], 40) for c in columns],
        "rows": [
            {
                "segment": s,
                "lift": found.lift[s, columns].round(3).tolist(),
                "sure": (found.q[s, columns] <= LEVEL).tolist(),
            }
            for s in shown
        ],
    }
