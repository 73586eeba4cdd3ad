"""What the users of a segment have in common, from training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from gnnseg.graph import BipartiteGraph

PRIOR = 20.0
"""Pseudo-interactions that shrink the lift of rare items towards 1."""


def profiles(
    graph: BipartiteGraph,
    memberships: np.ndarray,
    item_names: Sequence[str],
    tags: Sequence[Sequence[str]] | None = None,
    top: int = 5,
) -> list[dict[str, Any]]:
    """Describe each segment.

    The lift of an item is its share of the segment's interactions over its share of all, shrunk towards 1
    by 20 pseudo-interactions; a user counts by its membership.

    Args:
        graph: The training graph.
        memberships: ``[U, S]``.
        item_names: What to call each item, ``I`` names.
        tags: Labels of each item (genres), or None.
        top: How many items and tags to name.

    Returns:
        A dict a segment: ``segment``, ``users`` (whose strongest it is), ``share``, ``activity`` (mean
        interactions of a user), ``profile`` with ``likes``, ``typical`` and, with tags, ``tags`` and
        ``avoids``.
    """
    matrix = graph.biadjacency()
    weights = np.asarray(matrix.T @ memberships, dtype=np.float64).T
    labels = np.where(memberships.any(axis=1), memberships.argmax(1), -1)
    activity = np.diff(matrix.indptr)
    tag_names, item_tags = _tag_matrix(tags)
    result = []
    for segment, weight in enumerate(weights):
        inside = labels == segment
        lift = _lift(weight, weights.sum(0))
        profile: dict[str, Any] = {
            "likes": [_named(item_names, i, lift) for i in np.argsort(-lift, kind="stable")[:top]],
            "typical": [item_names[i] for i in np.argsort(-weight, kind="stable")[:top]],
        }
        if item_tags is not None:
            tag_lift = _lift(item_tags.T @ weight, item_tags.T @ weights.sum(0))
            order = np.argsort(-tag_lift, kind="stable")
            profile["tags"] = [_named(tag_names, i, tag_lift) for i in order[:top] if tag_lift[i] > 1]
            profile["avoids"] = [_named(tag_names, i, tag_lift) for i in order[::-1][:top] if tag_lift[i] < 1]
        result.append(
            {
                "segment": segment,
                "users": int(inside.sum()),
                "share": float(inside.mean()),
                "activity": float(activity[inside].mean()) if inside.any() else 0.0,
                "profile": profile,
            }
        )
    return result


def _lift(inside: np.ndarray, overall: np.ndarray) -> np.ndarray:
    expected = overall * (inside.sum() / max(float(overall.sum()), 1e-12))
    lift: np.ndarray = (inside + PRIOR) / (expected + PRIOR)
    return lift


def _named(names: Sequence[str], index: int, lift: np.ndarray) -> dict[str, Any]:
    return {"name": names[index], "lift": round(float(lift[index]), 3)}


def _tag_matrix(tags: Sequence[Sequence[str]] | None) -> tuple[list[str], sp.csr_matrix | None]:
    """Names of all tags, and which item has which, ``[I, T]``."""
    if tags is None:
        return [], None
    names = sorted({tag for item in tags for tag in item})
    if not names:
        return [], None
    column = {tag: position for position, tag in enumerate(names)}
    pairs = [(row, column[tag]) for row, item in enumerate(tags) for tag in item]
    rows, columns = zip(*pairs, strict=True)
    return names, sp.csr_matrix((np.ones(len(pairs)), (rows, columns)), shape=(len(tags), len(names)))
