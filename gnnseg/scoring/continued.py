"""Scores of items that nobody has yet, continued from those of the others."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnseg.scoring.base import HistoryScorer, Scorer, spread


class Continued(Scorer):
    """A scorer whose cold items are scored by the others: ``s_c = h W + s W``, both brought to one scale.

    ``h`` is the user's history, ``s`` the scores of the items that were trained on; their two continuations
    are brought to the spread of the second and averaged. Warm items keep their scores bit for bit.

    Args:
        whole: Scores of all items; what it says of cold ones does not count.
        history: The users' histories.
        warm: Rows of items that were trained on, ``[W]`` int64.
        cold: Rows of items that were not, ``[C]`` int64.
        weights: ``W``, ``[W, C]``.
        of_history: How much the continued history counts, at least 0.
        of_scores: How much the continued scores count, at least 0.
    """

    warm: Tensor
    cold: Tensor
    weights: Tensor

    def __init__(
        self,
        whole: Scorer,
        history: Histories,
        warm: Tensor,
        cold: Tensor,
        weights: Tensor,
        of_history: float = 1.0,
        of_scores: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_items = whole.num_items
        self.whole = whole
        self.history = history
        self.of_history = of_history
        self.of_scores = of_scores
        self.register_buffer("warm", warm)
        self.register_buffer("cold", cold)
        self.register_buffer("weights", weights.float())

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        scores = self.whole.score(users)
        if not len(self.cold):
            return scores
        continued = scores[:, self.warm] @ self.weights
        size = spread(continued)
        found = torch.zeros_like(continued)
        if self.of_scores:
            found += self.of_scores * continued
        if self.of_history:
            own = self.history.score(users)[:, self.warm] @ self.weights
            found += self.of_history * own * (size / spread(own))
        scores = scores.clone()
        scores[:, self.cold] = found / max(self.of_history + self.of_scores, 1e-12)
        return scores


class Histories(HistoryScorer):
    """One for each item of the history, else zero.

    Args:
        indptr: Histories in CSR, ``[U+1]`` int64.
        indices: ``[n]`` int64.
        num_items: ``I``.
    """

    def __init__(self, indptr: Tensor, indices: Tensor, num_items: int) -> None:
        super().__init__()
        self.num_items = num_items
        self.register_buffer("indptr", indptr)
        self.register_buffer("indices", indices)

    def score_histories(self, rows: Tensor, items: Tensor, count: int) -> Tensor:
        """``[B, I]``."""
        found = torch.zeros(count, self.num_items, device=rows.device)
        found[rows, items] = 1.0
        return found


class Among(Scorer):
    """A scorer that ranks some items only; the others have a score of ``-inf``.

    Args:
        scorer: Scores all items.
        items: Which are ranked, mask ``[I]``.
    """

    items: Tensor

    def __init__(self, scorer: Scorer, items: Tensor) -> None:
        super().__init__()
        self.num_items = scorer.num_items
        self.scorer = scorer
        self.register_buffer("items", items)

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        return self.scorer.score(users).masked_fill(~self.items, -torch.inf)
