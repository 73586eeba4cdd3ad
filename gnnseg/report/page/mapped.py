"""The map: a point a user and an item, and what they can be coloured by."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnseg.disclosure import MIN_USERS
from gnnseg.graph import Embeddings
from gnnseg.report.page.inputs import Inputs
from gnnseg.report.page.judged import Judged
from gnnseg.report.page.layout import Method, packed, packed_points, place, vectors
from gnnseg.report.page.people import Names
from gnnseg.seeding import numpy_rng
from gnnseg.segments import SEGMENTERS

NONE = 255
"""In a list of labels or levels: nothing is known."""

CLUSTERS, MAX_GROUPS, LEVELS = 8, 64, 254


def map_of(inputs: Inputs, judged: Judged | None, names: Names, method: Method) -> dict[str, Any]:
    """Points, names and colourings of all users who may be shown and of all items."""
    embeddings, origin = vectors(inputs)
    points, users = place(embeddings, method), names.order
    items = len(inputs.saved.items)
    rows = np.concatenate([users, len(inputs.saved.users) + np.arange(items)])
    degrees = inputs.graph.degrees.numpy()[rows]
    return {
        "method": method.upper(),
        "origin": origin,
        "users": len(users),
        "items": items,
        "hidden": int(inputs.hidden.sum()) > 0,
        "points": packed_points(points[rows]),
        "names": [names.of[row] for row in users.tolist()] + inputs.item_names,
        "degrees": packed(np.minimum(degrees, 65535), "<u2"),
        "colours": [
            *_partitions(inputs, embeddings, users),
            *_measures(inputs, judged, users, degrees),
        ],
    }


def _partitions(inputs: Inputs, embeddings: Embeddings, users: np.ndarray) -> list[dict[str, Any]]:
    """Segments, communities of the graph and clusters of the vectors."""
    found = []
    if inputs.saved.memberships is not None:
        names = [segment.get("name") or f"segment {n}" for n, segment in enumerate(_segments(inputs))]
        found.append(_groups(inputs, "segment", inputs.labels, users, names))
    for key, spec in (
        ("community", {"name": "Leiden"}),
        ("cluster", {"name": "MiniBatchKMeans", "num_segments": max(1, min(CLUSTERS, len(inputs.labels)))}),
    ):
        segmenter = SEGMENTERS.create(spec).fit(inputs.graph, embeddings, numpy_rng(0, f"page {key}"))
        labels = segmenter.labels.numpy()
        order = np.argsort(-np.bincount(labels[labels >= 0]), kind="stable")
        ranked = np.append(np.argsort(order), -1)[labels]
        found.append(_groups(inputs, key, ranked, users, [f"{key} {n + 1}" for n in range(len(order))]))
    return found


def _segments(inputs: Inputs) -> list[dict[str, Any]]:
    count = 0 if inputs.saved.memberships is None else inputs.saved.memberships.shape[1]
    described = {segment["segment"]: segment for segment in inputs.segments.get("segments", [])}
    return [described.get(number, {}) for number in range(count)]


def _groups(
    inputs: Inputs, key: str, labels: np.ndarray, users: np.ndarray, names: list[str]
) -> dict[str, Any]:
    """One colouring; an item goes to the group that likes it most beyond the group's size.

    Groups of fewer than 10 users and those past the 64th are not told apart.
    """
    size = len(names)
    counts = np.bincount(labels[labels >= 0], minlength=size)
    one_hot = np.eye(size + 1)[labels][:, :size]
    mass = inputs.saved.train.T @ one_hot
    mass[:, counts < MIN_USERS] = 0
    share = (mass + 1e-9) / np.maximum(mass.sum(0), 1)
    items = np.where(mass.any(1), np.where(mass > 0, share, 0).argmax(1), -1)
    kept = np.append((counts >= MIN_USERS) & (np.arange(size) < MAX_GROUPS), False)
    each = np.concatenate([labels[users], items])
    return {
        "key": key,
        "kind": "groups",
        "names": [name if kept[n] else "" for n, name in enumerate(names[:MAX_GROUPS])],
        "labels": packed(np.where(kept[each], each, NONE)),
    }


def _measures(
    inputs: Inputs, judged: Judged | None, users: np.ndarray, degrees: np.ndarray
) -> list[dict[str, Any]]:
    """Numbers to colour by: length of history or popularity, and the test metric."""
    logs = np.log1p(degrees)
    top = max(float(logs.max(initial=0)), 1e-12)
    found = [
        {
            "key": "interactions",
            "kind": "levels",
            "low": "few",
            "high": f"{int(degrees.max(initial=0)):,}",
            "labels": packed(np.rint(logs / top * LEVELS)),
        }
    ]
    if judged is not None:
        metric = inputs.saved.config.choose_by
        values = np.full(len(inputs.labels), np.nan)
        values[judged.users] = judged.served[metric]
        shown = np.concatenate([values[users], np.full(len(degrees) - len(users), np.nan)])
        levels = np.where(np.isnan(shown), NONE, np.rint(np.nan_to_num(shown) * LEVELS))
        found.append({"key": metric, "kind": "levels", "low": "0", "high": "1", "labels": packed(levels)})
    return found
