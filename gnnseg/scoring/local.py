"""Scores of local models, weighted by memberships."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.graph import csr_tensor
from gnnseg.scoring.base import Scorer, divisor, history_pairs

Memberships = TypeVar("Memberships", np.ndarray, Tensor)


def strongest(memberships: Memberships) -> Memberships:
    """The segment of the largest share of each row, -1 for rows of zeros: ``[U, S] -> [U]``."""
    found: Memberships = (memberships.argmax(1) + 1) * (memberships.sum(1) > 0) - 1
    return found


class LocalScorer(Scorer):
    """Knows users by their memberships and, if it wants to, by their histories.

    Args:
        memberships: Rows sum to one or to zero, ``[U, S]``.
    """

    memberships: Tensor

    def __init__(self, memberships: Tensor) -> None:
        super().__init__()
        self.register_buffer("memberships", memberships.float())

    @abstractmethod
    def score(self, users: Tensor) -> Tensor:
        """Scores in standard deviations of a global score, ``[B] -> [B, I]``."""

    @abstractmethod
    def raw(self, share: float, segment: int, items: Tensor, target: int) -> float:
        """What one segment adds to the score of one item, apart from a factor that all of a user's have.

        Args:
            share: Membership of the user.
            segment: A number.
            items: The user's history, ``[m]`` int64.
            target: A row of an item.
        """

    @abstractmethod
    def of(self, memberships: Tensor, indptr: Tensor, indices: Tensor) -> LocalScorer:
        """The same model for other users: memberships ``[B, S]``, histories in CSR ``[B+1]``, ``[m]``."""


class MemberLift(LocalScorer):
    """Memberships times a table: ``P L^T``.

    Args:
        memberships: ``[U, S]``.
        lift: ``[I, S]``.
    """

    lift: Tensor

    def __init__(self, memberships: Tensor, lift: Tensor) -> None:
        super().__init__(memberships)
        self.num_items = len(lift)
        self.register_buffer("lift", lift)

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        return self.memberships[users] @ self.lift.T

    def raw(self, share: float, segment: int, items: Tensor, target: int) -> float:
        """Share times lift."""
        return share * float(self.lift[target, segment])

    def of(self, memberships: Tensor, indptr: Tensor, indices: Tensor) -> MemberLift:
        """For other users; histories do not count."""
        return MemberLift(memberships, self.lift)


class MemberItems(LocalScorer):
    """Item-item matrices of segments, weighted by memberships: ``sum_s p_us R_u W_s``, to unit spread a user.

    Args:
        memberships: ``[U, S]``.
        indptr: Histories in CSR, ``[U+1]`` int64.
        indices: ``[n]`` int64.
        weights: Values of all segments' matrices, the rows of one below those of another, CSR, ``[m]``.
        weights_indptr: ``[S I + 1]`` int64.
        weights_indices: ``[m]`` int64.
    """

    indptr: Tensor
    indices: Tensor
    weights: Tensor
    weights_indptr: Tensor
    weights_indices: Tensor

    def __init__(
        self,
        memberships: Tensor,
        indptr: Tensor,
        indices: Tensor,
        weights: Tensor,
        weights_indptr: Tensor,
        weights_indices: Tensor,
    ) -> None:
        super().__init__(memberships)
        self.register_buffer("indptr", indptr)
        self.register_buffer("indices", indices)
        self.num_items = (len(weights_indptr) - 1) // memberships.shape[1]
        self.register_buffer("weights", weights)
        self.register_buffer("weights_indptr", weights_indptr)
        self.register_buffer("weights_indices", weights_indices)

    @classmethod
    def build(
        cls, histories: sp.csr_matrix, weights: Sequence[sp.csr_matrix], memberships: Tensor
    ) -> MemberItems:
        """From histories ``[U, I]`` and one sparse ``[I, I]`` matrix a segment."""
        stacked = sp.vstack([sp.csr_matrix(one) for one in weights], format="csr")
        rows = [torch.from_numpy(part.astype(np.int64)) for part in (histories.indptr, histories.indices)]
        index = [torch.from_numpy(part.astype(np.int64)) for part in (stacked.indptr, stacked.indices)]
        values = torch.from_numpy(stacked.data.astype(np.float32))
        return cls(memberships.cpu(), rows[0], rows[1], values, index[0], index[1])

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        row, item = history_pairs(self.indptr, self.indices, users)
        shares = self.memberships[users]
        count = shares.shape[1]
        columns = (torch.arange(count, device=users.device) * self.num_items).unsqueeze(1) + item  # [S, m]
        order = torch.argsort(row.repeat(count), stable=True)
        values = shares.T[:, row].reshape(-1)[order]
        lengths = (self.indptr[users + 1] - self.indptr[users]) * count
        crow = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        size = (count * self.num_items, self.num_items)
        histories = csr_tensor(crow, columns.reshape(-1)[order], values, (len(users), size[0]))
        stacked = csr_tensor(self.weights_indptr, self.weights_indices, self.weights, size)
        scores: Tensor = (histories @ stacked).to_dense()
        return scores / divisor(scores)

    def raw(self, share: float, segment: int, items: Tensor, target: int) -> float:
        """Share times the sum over the history of the segment's weights."""
        columns = segment * self.num_items + items
        _, found = history_pairs(self.weights_indptr, self.weights_indices, columns)
        at = history_pairs(self.weights_indptr, torch.arange(len(self.weights)), columns)[1]
        return share * float(self.weights[at[found == target]].double().sum())

    def of(self, memberships: Tensor, indptr: Tensor, indices: Tensor) -> MemberItems:
        """For other users."""
        return MemberItems(
            memberships, indptr, indices, self.weights, self.weights_indptr, self.weights_indices
        )
