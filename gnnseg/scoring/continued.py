"""Scores of items that nobody has yet, continued from those of the others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnseg.scoring.base import HistoryScorer, Scorer, divisor, spread


class Continued(Scorer):
    """A scorer whose cold items are scored by what texts say of them, on the scale of the warm ones.

    With the user's history ``h`` and scores ``s`` of warm items, each divided by its spread (zeros where all
    are alike), a cold item has
    ``z = (a h + b s) W - m`` and the score ``mean(s) + std(s) (shift + scale z)``. Warm items keep their
    scores bit for bit.

    Args:
        whole: Scores of all items; what it says of cold ones does not count.
        history: One for each item of a user's history, else zero.
        warm: Rows of items that were trained on, ``[W]`` int64.
        cold: Rows of items that were not, ``[C]`` int64.
        weights: ``W``, ``[W, C]``.
        rule: ``a, b, m, shift, scale``, ``[5]``.
    """

    warm: Tensor
    cold: Tensor
    weights: Tensor
    rule: Tensor

    def __init__(
        self, whole: Scorer, history: Scorer, warm: Tensor, cold: Tensor, weights: Tensor, rule: Tensor
    ) -> None:
        super().__init__()
        self.num_items = whole.num_items
        self.whole = whole
        self.history = history
        self.register_buffer("warm", warm)
        self.register_buffer("cold", cold)
        self.register_buffer("weights", weights.float())
        self.register_buffer("rule", rule.double())
        self._rule: list[float] = rule.tolist()  # read once: reading them waits for the device

    @property
    def kind(self) -> dict[str, Any]:
        """The kind of the scorer that is continued."""
        return {"continued": self.whole.kind}

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        scores = self.whole.score(users)
        if not len(self.cold):
            return scores
        shift, scale = self.place
        warm = scores[:, self.warm]
        scores = scores.clone()
        placed = shift + scale * self._z(warm, users)
        scores[:, self.cold] = warm.mean(1, keepdim=True) + spread(warm) * placed
        return scores

    @property
    def place(self) -> tuple[float, float]:
        """``shift`` and ``scale``."""
        return self._rule[3], self._rule[4]

    def placed(self, shift: float, scale: float) -> Continued:
        """The same with another place for cold items among the warm ones."""
        return self._with([*self._rule[:3], shift, scale])

    def of(self, whole: Scorer, history: Scorer) -> Continued:
        """For others: their scores and their histories."""
        return Continued(whole, history, self.warm, self.cold, self.weights, self.rule)

    def balanced(self, of_history: float, of_scores: float, users: Tensor) -> Continued:
        """With ``a``, ``b`` and ``m`` such that ``z`` of some users has mean 0 and parts of these spreads."""
        if not len(self.cold):
            return self
        middle, parts = 0.0, []
        for share, only in ((of_history, (1.0, 0.0)), (of_scores, (0.0, 1.0))):
            part = self._with([*only, 0.0, 0.0, 1.0])
            found = torch.cat(
                [part._z(self.whole.score(some)[:, self.warm], some) for some in users.split(512)]
            )
            parts.append(
                share / max(of_history + of_scores, 1e-12) / max(float(found.std(correction=0)), 1e-12)
            )
            middle += parts[-1] * float(found.mean())
        return self._with([*parts, middle, *self._rule[3:]])

    def _with(self, rule: list[float]) -> Continued:
        kept = torch.tensor(rule, dtype=torch.float64, device=self.device)
        return Continued(self.whole, self.history, self.warm, self.cold, self.weights, kept)

    def _z(self, warm: Tensor, users: Tensor) -> Tensor:
        """``(a h + b s) W - m`` from the scores of warm items ``[B, W]``, ``[B, C]``."""
        of_history, of_scores, middle = self._rule[:3]
        total = torch.zeros_like(warm)
        if of_scores:
            total += of_scores * (warm / divisor(warm))
        if of_history:
            own = self.history.score(users)[:, self.warm]
            total += of_history * (own / divisor(own))
        return total @ self.weights - middle


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
