"""A local model beside a global one, as far as each user's gate lets it through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnseg.scoring.base import Scorer, spread
from gnnseg.scoring.local import LocalScorer, strongest

MAX_GATE = 5.0
"""The largest gate: nothing is known of larger ones, which are never measured."""


@dataclass(frozen=True)
class Gates:
    """What every user's gate follows from.

    Attributes:
        scale: ``a``.
        fade: ``f``, in interactions.
        factors: ``m``, one a segment, ``[S]``.
    """

    scale: float
    fade: float
    factors: np.ndarray

    def of(self, lengths: np.ndarray, memberships: np.ndarray) -> np.ndarray:
        """Gates of users with histories of these lengths, ``[B]``, and memberships ``[B, S]``, as ``[B]``."""
        return self.at(lengths, strongest(memberships))

    def at(self, lengths: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Gates by lengths of histories ``[B]`` and strongest segments ``[B]``, -1 for none, as ``[B]``."""
        factors = np.append(self.factors, 0.0)[labels]  # -1 is the last: closed
        found: np.ndarray = np.minimum(self.scale * factors / (1 + lengths / self.fade), MAX_GATE)
        return found

    @property
    def opens(self) -> bool:
        """Whether any user's gate can be above zero."""
        return bool(self.scale > 0 and self.factors.any())

    @property
    def rule(self) -> np.ndarray:
        """As numbers to keep: ``a``, ``1 / f``, ``m``; ``[S + 2]``."""
        return np.concatenate([[self.scale, 1 / self.fade], self.factors])

    @classmethod
    def from_rule(cls, rule: np.ndarray) -> Gates:
        """What :attr:`rule` was made of."""
        return cls(float(rule[0]), float(1 / rule[1]) if rule[1] else np.inf, rule[2:])


class Gated(Scorer):
    """A global scorer plus a local one, as much of it as a user's gate lets through.

    ``G_u + g_u std(G_u) L_u``: exactly the global scores where the gate is 0.

    Args:
        whole: The global scorer.
        local: In standard deviations of the global scores.
        gates: One a user, at least 0, ``[U]``.
        rule: What gates follow from (:attr:`Gates.rule`), for users to come, ``[S + 2]``.
    """

    gates: Tensor
    rule: Tensor

    def __init__(self, whole: Scorer, local: LocalScorer, gates: Tensor, rule: Tensor) -> None:
        super().__init__()
        self.num_items = whole.num_items
        self.whole = whole
        self.local = local
        self.register_buffer("gates", gates.float())
        self.register_buffer("rule", rule.float())

    @property
    def kind(self) -> dict[str, Any]:
        """The kinds of its parts by name."""
        return {"whole": self.whole.kind, "local": self.local.kind}

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        scores = self.whole.score(users)
        return torch.addcmul(scores, self.local.score(users), spread(scores) * self.gates[users].unsqueeze(1))

    def of(self, whole: Scorer, memberships: Tensor, indptr: Tensor, indices: Tensor) -> Gated:
        """For others: their global scorer, memberships ``[B, S]``, histories in CSR ``[B+1]``, ``[m]``."""
        gates = Gates.from_rule(self.rule.double().cpu().numpy())
        each = gates.of(indptr.diff().cpu().numpy(), memberships.cpu().numpy())
        opened = torch.from_numpy(each).to(memberships)
        return Gated(whole, self.local.of(memberships, indptr, indices), opened, self.rule)
