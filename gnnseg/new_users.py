"""Users who were not there: what their group likes, fading as their own history grows."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.scoring import Constant, ItemGraph, MemberLift, NewUsers, Scorer, spread


def group_lift(train: sp.csr_matrix, memberships: np.ndarray, pseudo_users: float = 200.0) -> np.ndarray:
    """Log of an item's share of a group's interactions over its share of everybody's, ``[I, S]``.

    Groups are shrunk to everybody: as if each had ``pseudo_users`` average users more.

    Args:
        train: Training interactions, ``[U, I]``.
        memberships: Of the same users, ``[U, S]``; those of users without interactions do not matter.
        pseudo_users: At least 0.
    """
    everybody = np.asarray(train.sum(0), dtype=np.float64).ravel() + 1e-6
    active = max(int((np.diff(train.indptr) > 0).sum()), 1)
    counts = train.T @ memberships + pseudo_users * (everybody / active)[:, None] + 1e-9
    lift: np.ndarray = np.log(counts / counts.sum(0)) - np.log(everybody / everybody.sum())[:, None]
    return lift


def popularity(train: sp.csr_matrix) -> Constant:
    """Log popularity, on the scale of :func:`group_lift`; an item of nobody counts as half a user's."""
    counts = np.asarray(train.sum(0), dtype=np.float64).ravel()
    return Constant(torch.from_numpy(np.log(np.maximum(counts, 0.5))))


class WithPrior(Scorer):
    """Scores of new users plus the lift of their group: ``s + w std(s) P L^T``.

    Args:
        whole: Scores by history, or popularity.
        prior: What each user's group likes more than others do.
        weight: ``w``; 0 is ``whole`` bit for bit.
    """

    def __init__(self, whole: Scorer, prior: MemberLift, weight: float) -> None:
        super().__init__()
        self.num_items = whole.num_items
        self.whole = whole
        self.prior = prior
        self.weight = weight

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        scores = self.whole.score(users)
        if not self.weight:
            return scores
        return torch.addcmul(scores, self.prior.score(users), spread(scores) * self.weight)


def by_history(scorer: ItemGraph, history: sp.csr_matrix) -> NewUsers:
    """Scores of users by what is known of them, histories ``[B, I]``."""
    parts = (torch.from_numpy(part.astype(np.int64)) for part in (history.indptr, history.indices))
    return NewUsers(scorer, *parts)


def first_items(users: np.ndarray, length: int) -> np.ndarray:
    """Mask of the first ``length`` of each user's rows, which lie together in order, ``[n]``."""
    starts = np.flatnonzero(np.append(True, users[1:] != users[:-1])) if len(users) else users
    counts = np.diff(np.append(starts, len(users)))
    place: np.ndarray = np.arange(len(users)) - np.repeat(starts, counts)
    return place < length
