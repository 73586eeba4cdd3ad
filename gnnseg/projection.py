"""Users' vectors with their segments, for trackers that draw them."""

from __future__ import annotations

import numpy as np

from gnnseg.disclosure import too_small
from gnnseg.scoring import Scorer, as_vectors

MAX_USERS = 10_000
"""Of more, so many are taken, evenly."""

OUTSIDE = "outside"


def projected(scorer: Scorer, labels: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]] | None:
    """Vectors of users and the segment of each, no ids; users of groups too small to be told of are left out.

    Args:
        scorer: Of ``U`` users.
        labels: Strongest segment of each user, -1 for none, ``[U]``.
        names: Of the segments, ``S``.

    Returns:
        ``[n, d]`` float32 and ``n`` names; None where the scorer has no vectors.
    """
    vectors = as_vectors(scorer, len(labels))
    if vectors is None:
        return None
    counts = np.bincount(labels + 1, minlength=len(names) + 1)
    rows = np.flatnonzero(~too_small(counts)[labels + 1])
    if len(rows) > MAX_USERS:
        rows = rows[np.linspace(0, len(rows) - 1, MAX_USERS).astype(np.int64)]
    called = [OUTSIDE, *(f"{number} {name}".strip() for number, name in enumerate(names))]
    table = vectors.users.detach().float().cpu().numpy()[rows]
    return table, [called[label + 1] for label in labels[rows].tolist()]
