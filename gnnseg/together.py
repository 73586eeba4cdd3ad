"""Ranking by several processes: each takes some of the users, and process 0 has all lists in the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.ranking import top_k, users_at_once
from gnnseg.ranks import Ranks, shares
from gnnseg.scoring import DotProduct, Scorer, csr_parts, rebuild

RANK = "rank"
"""The task of :func:`rank_part`."""

_OF_USERS = ("users", "more_users")  # tables of a dot product that have a row a user


def top_k_together(
    ranks: Ranks,
    scorer: Scorer,
    users: np.ndarray,
    k: int,
    seen: sp.csr_matrix,
    progress: Callable[[int], object] = lambda count: None,
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`gnnseg.ranking.top_k`, by process 0 with those that :func:`rank_part`.

    Users are divided between the blocks that one process ranks at once, so that all products have the shape,
    and with as many threads the bits, that they have there. Of a dot product each process gets the vectors of
    its users; any other scorer is sent whole.

    Args:
        ranks: The processes.
        scorer: Scores the items.
        users: Rows of users, ``[n]``.
        k: Length of a list, at most ``I``.
        seen: Items never to rank, ``[U, I]``.
        progress: Told how many users were just done.

    Raises:
        TrainingError: If another process stopped.
    """
    bounds = shares(len(users), ranks.size, users_at_once(scorer.num_items))
    device = scorer.device.type
    told = {"task": RANK, "kind": scorer.kind, "items": scorer.num_items, "k": k, "bounds": bounds}
    ranks.task({**told, "device": device})
    parts = [users[first:end] for first, end in pairwise(bounds)]
    ranks.deal({} if n == 0 else _part_of(scorer, part, seen) for n, part in enumerate(parts))
    found = top_k(scorer, parts[0], k, seen, progress)
    items, scores = _piled(ranks, bounds, found)
    progress(len(users) - len(parts[0]))
    return items, scores


def rank_part(ranks: Ranks, told: Mapping[str, Any], device: torch.device) -> None:
    """Rank the users that process 0 gives, as one of the others.

    Args:
        ranks: The processes.
        told: The task.
        device: Where to rank.
    """
    given = ranks.deal()
    indptr, indices, rows = (given.pop(name) for name in ("seen.indptr", "seen.indices", "rows"))
    shape = (len(rows), told["items"])
    ones = np.ones(len(indices), dtype=np.float32)
    seen = sp.csr_matrix((ones, indices.numpy(), indptr.numpy()), shape=shape)
    own = _Placed(rebuild(told["kind"], given), rows).to(device)
    _piled(ranks, told["bounds"], top_k(own, np.arange(len(rows)), told["k"], seen))


class _Placed(Scorer):
    """A scorer whose users have other rows there, ``[u]``."""

    rows: Tensor

    def __init__(self, scorer: Scorer, rows: Tensor) -> None:
        super().__init__()
        self.num_items = scorer.num_items
        self.scorer = scorer
        self.register_buffer("rows", rows)

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        return self.scorer.score(self.rows[users])


def _part_of(scorer: Scorer, users: np.ndarray, seen: sp.csr_matrix) -> dict[str, Tensor]:
    """What a process ranks ``users [u]`` with: the scorer's state, their rows in it, what they have seen."""
    rows, state = torch.from_numpy(users), scorer.state_dict()
    if isinstance(scorer, DotProduct):
        state |= {name: state[name][rows.to(scorer.device)] for name in _OF_USERS if name in state}
        rows = torch.arange(len(users))
    indptr, indices = csr_parts(seen[users])
    return {
        **{name: x.cpu() for name, x in state.items()},
        "seen.indptr": indptr,
        "seen.indices": indices,
        "rows": rows,
    }


def _piled(
    ranks: Ranks, bounds: list[int], found: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Items and scores of all processes ``[n, k]`` in process 0; elsewhere those of the process."""
    lengths = np.diff(bounds).tolist()
    whole = [ranks.pile(torch.from_numpy(x), lengths) for x in found]
    items, scores = (x if y is None else y.numpy() for x, y in zip(found, whole, strict=True))
    return items, scores
