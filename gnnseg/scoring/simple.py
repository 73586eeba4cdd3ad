"""Scores from tables, and sums of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gnnseg.scoring.base import HistoryScorer, Scorer, divisor


class DotProduct(Scorer):
    """Dot products of two tables.

    Args:
        users: ``[U, d]``.
        items: ``[I, d]``.
        more_users: Further coordinates, ``[U, e]``, multiplied apart from the others: as long as they are
            zero, scores are bit for bit those without them, which those of longer vectors would not be.
        more_items: Likewise, ``[I, e]``.
    """

    users: Tensor
    items: Tensor
    more_users: Tensor | None
    more_items: Tensor | None

    def __init__(
        self,
        users: Tensor,
        items: Tensor,
        more_users: Tensor | None = None,
        more_items: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.num_items = len(items)
        tables = {"users": users, "items": items, "more_users": more_users, "more_items": more_items}
        for name, table in tables.items():
            self.register_buffer(name, None if table is None else table.detach().contiguous())

    @classmethod
    def of(cls, users: Tensor, items: Tensor, dim: int) -> DotProduct:
        """Of longer vectors ``[U, e]`` and ``[I, e]`` whose first ``dim`` coordinates are scored apart."""
        if users.shape[1] == dim:
            return cls(users, items)
        return cls(users[:, :dim], items[:, :dim], users[:, dim:], items[:, dim:])

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        scores = self.users[users] @ self.items.T
        if self.more_users is None or self.more_items is None:
            return scores
        return scores.addmm_(self.more_users[users], self.more_items.T)


class Constant(HistoryScorer):
    """The same scores for every user.

    Args:
        items: One score an item, ``[I]``.
    """

    items: Tensor

    def __init__(self, items: Tensor) -> None:
        super().__init__()
        self.num_items = len(items)
        self.register_buffer("items", items.float())

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        return self.items.repeat(len(users), 1)

    def score_histories(self, rows: Tensor, items: Tensor, count: int) -> Tensor:
        """``[B, I]``, whatever the histories."""
        return self.items.repeat(count, 1)


class Mixture(Scorer):
    """A weighted sum of scorers, each brought to one scale.

    Each scorer's scores of a user are divided by their standard deviation over the catalogue, so that
    weights mean the same for any two scorers and for any length of history. Scores that are alike for all
    items count as zeros.

    Args:
        scorers: Of the same users and items.
        weights: One a scorer, ``[n]``.
    """

    weights: Tensor

    def __init__(self, scorers: Sequence[Scorer], weights: Tensor) -> None:
        super().__init__()
        self.num_items = scorers[0].num_items
        self.scorers = nn.ModuleList(scorers)
        self.register_buffer("weights", weights.float())
        self._weights: list[float] = weights.tolist()  # read once: reading them waits for the device

    @property
    def kind(self) -> list[Any]:
        """The kinds of its parts."""
        return [scorer.kind for scorer in self.scorers]

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        total = torch.zeros(len(users), self.num_items, device=users.device)
        for scorer, weight in zip(self.scorers, self._weights, strict=True):
            if weight:
                scores: Tensor = scorer.score(users)  # type: ignore[operator]
                total.addcdiv_(scores, divisor(scores), value=weight)
        return total


class Known(Scorer):
    """Scores of some users, computed once to be used many times.

    Args:
        users: Rows of users, sorted, ``[n]``; others cannot be scored.
        scores: ``[n, I]``.
    """

    users: Tensor
    scores: Tensor

    def __init__(self, users: Tensor, scores: Tensor) -> None:
        super().__init__()
        self.num_items = scores.shape[1]
        self.register_buffer("users", users)
        self.register_buffer("scores", scores)

    @classmethod
    def of(cls, scorer: Scorer, users: Tensor) -> Known:
        """What a scorer gives some users, rows ``[n]`` in order."""
        return cls(users, torch.cat([scorer.score(some) for some in users.split(512)]))

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        return self.scores[torch.searchsorted(self.users, users)]
