"""What in the data speaks for a recommendation: paths through other users, and likeness of texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from gnnseg.recommend import Recommender


def strongest_paths(
    recommender: Recommender, own: np.ndarray, target: int, row: int | None, most: int = 5
) -> list[dict[str, Any]]:
    """Own items by the strength of paths through other users to the target.

    Args:
        recommender: Of a loaded run.
        own: Rows of the user's items, ``[m]``.
        target: Row of the item.
        row: Of the user, who is no other user; None for somebody new.
        most: Items named.

    Returns:
        Strongest first: the ``item`` with its ``text``, the ``strength`` of its paths, the sum of products of
        ``1 / sqrt(d d')`` of their three links, and how many ``users`` they lead through.
    """
    train, run = recommender.run.train, recommender.run
    others = np.flatnonzero(np.asarray(train[:, [target]].todense()).ravel())
    others = others[others != (-1 if row is None else row)]
    users, items = np.diff(train.indptr), np.bincount(train.indices, minlength=train.shape[1])
    links = sp.csr_matrix(train[others][:, own]) if len(others) and len(own) else sp.csr_matrix((0, len(own)))
    scale = 1 / (np.maximum(users[others], 1) * np.sqrt(max(items[target], 1)))
    near = 1 / (np.maximum(items[own], 1) * np.sqrt(max(len(own), 1)))
    strength = np.asarray(scale @ links).ravel() * near if links.shape[0] else np.zeros(len(own))
    order = np.argsort(-strength, kind="stable")[:most]
    counts = links.getnnz(axis=0)
    return [
        {
            "item": run.items.ids[own[at]],
            "text": run.texts[own[at]] if run.texts else "",
            "strength": float(strength[at]),
            "users": int(counts[at]),
        }
        for at in order
        if strength[at] > 0
    ]


def most_similar(
    recommender: Recommender, own: np.ndarray, target: int, most: int = 3
) -> list[dict[str, Any]]:
    """Own items, rows ``[m]``, by the ``cosine`` of their texts with the target's; none without texts."""
    run = recommender.run
    if run.texts is None or not len(own):
        return []
    vectors = recommender.reranker.text_directions
    cosine = (vectors[torch.from_numpy(own.astype(np.int64))] @ vectors[target]).numpy()
    order = np.argsort(-cosine, kind="stable")[:most]
    return [
        {"item": run.items.ids[own[at]], "text": run.texts[own[at]], "cosine": float(cosine[at])}
        for at in order
    ]
