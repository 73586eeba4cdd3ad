"""Scores of every item for some users: all that ranking, evaluation and recommendation know of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import scipy.sparse as sp
import torch
from torch import Tensor, nn

ALIKE = 1e-6
"""Scores whose spread is a smaller share of them differ by rounding only."""


class Scorer(nn.Module, ABC):
    """Scores all items for given users; what it knows lives in buffers, so it moves and saves as a module."""

    num_items: int

    @abstractmethod
    def score(self, users: Tensor) -> Tensor:
        """Scores, higher is better.

        Args:
            users: Rows of users, ``[B]``.

        Returns:
            ``[B, I]`` float32.
        """

    @property
    def kind(self) -> Any:
        """What :func:`gnnseg.scoring.rebuild` needs besides the state: the class's name."""
        return type(self).__name__

    @property
    def device(self) -> torch.device:
        """Where the tables lie."""
        return next(self.buffers()).device


class HistoryScorer(Scorer):
    """A scorer that can score anybody by a history of items.

    Its buffers hold the histories of the users it was fitted on, ``indptr [U+1]`` and ``indices [n]``, unless
    those have vectors of their own.
    """

    indptr: Tensor
    indices: Tensor

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        return self.score_histories(*history_pairs(self.indptr, self.indices, users), len(users))

    @abstractmethod
    def score_histories(self, rows: Tensor, items: Tensor, count: int) -> Tensor:
        """Scores for given histories.

        Args:
            rows: Whose each item is, ``[m]`` int64, in order.
            items: ``[m]`` int64.
            count: Histories, ``B``.

        Returns:
            ``[B, I]`` float32.
        """

    def contributions(self, items: Tensor, target: int) -> Tensor:
        """What each item of a history adds to the score of one item, where scores are linear in the history.

        Args:
            items: ``[m]`` int64.
            target: A row.

        Returns:
            ``[m]``.
        """
        blocks = [
            self.score_histories(torch.arange(len(some), device=some.device), some, len(some))[:, target]
            for some in items.split(64)
        ]
        return torch.cat(blocks)


class NewUsers(Scorer):
    """Users who were not there when a scorer was fitted.

    Args:
        scorer: Scores by history.
        indptr: The new users' histories in CSR, ``[B+1]``.
        indices: Their items, ``[m]``.
    """

    indptr: Tensor
    indices: Tensor

    def __init__(self, scorer: HistoryScorer, indptr: Tensor, indices: Tensor) -> None:
        super().__init__()
        self.num_items = scorer.num_items
        self.scorer = scorer
        self.register_buffer("indptr", indptr)
        self.register_buffer("indices", indices)

    @classmethod
    def build(cls, scorer: HistoryScorer, histories: sp.csr_matrix) -> NewUsers:
        """From histories ``[B, I]`` as SciPy has them."""
        return cls(scorer, *csr_parts(histories))

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        pairs = history_pairs(self.indptr, self.indices, users)
        return self.scorer.score_histories(*pairs, len(users))


def csr_parts(matrix: sp.csr_matrix) -> tuple[Tensor, Tensor]:
    """Where each row starts, ``[U + 1]``, and all columns, ``[n]``: histories as scorers hold them."""
    return torch.from_numpy(matrix.indptr).long(), torch.from_numpy(matrix.indices).long()


def history_pairs(indptr: Tensor, indices: Tensor, users: Tensor) -> tuple[Tensor, Tensor]:
    """Position in ``users`` and item of every pair in some users' histories, ``[m]`` int64 each."""
    start = indptr[users].long()
    counts = indptr[users + 1].long() - start
    row = torch.repeat_interleave(counts)
    first = torch.cumsum(counts, 0) - counts
    at = torch.arange(len(row), device=row.device) + (start - first)[row]
    return row, indices[at].long()


def spread(scores: Tensor) -> Tensor:
    """Standard deviation of each row, ``[B, I] -> [B, 1]``; never zero."""
    variance = (scores - scores.mean(1, keepdim=True)).square_().mean(1, keepdim=True)
    return variance.sqrt_().clamp_(min=1e-12)


def divisor(scores: Tensor) -> Tensor:
    """What brings each row to unit spread, ``[B, I] -> [B, 1]``.

    The row's standard deviation; infinite where all scores are alike, as rounding would otherwise make huge
    numbers of a row that says nothing.
    """
    size = spread(scores)
    return size.masked_fill_(size <= ALIKE * scores[:, :1].abs() + 1e-12, torch.inf)
