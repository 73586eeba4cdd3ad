"""What link prediction is trained on: observed pairs against drawn ones.

Every loss takes scores of ``B`` observed pairs, ``[B]``, and of ``K`` drawn items for each, ``[B, K]``, and
returns their mean, ``[]``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.components import Component, Kind, PositiveFloat

__all__ = ["BPR", "LOSSES", "BinaryCrossEntropy", "Loss", "SampledSoftmax", "SquaredError"]


class Loss(Component, nn.Module, ABC):
    """A loss of link prediction.

    Attributes:
        cosine: Whether scores in training are cosines instead of dot products.
    """

    cosine: bool = False

    @abstractmethod
    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Loss of observed pairs ``[B]`` against drawn ones ``[B, K]``, a scalar."""


class BPR(Loss):
    """Bayesian personalised ranking: ``-log sigmoid(s+ - s-)`` (Rendle et al., arXiv 1205.2618, BPR-Opt)."""

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """``[B], [B, K] -> []``."""
        return F.softplus(negative - positive.unsqueeze(1)).mean()


class BinaryCrossEntropy(Loss):
    """Each pair is a link or not; the drawn ones of a pair weigh together as much as the observed one."""

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """``[B], [B, K] -> []``."""
        return F.softplus(-positive).mean() + F.softplus(negative).mean()


class SampledSoftmax(Loss):
    """The observed item against the drawn ones in one softmax (Wu et al., arXiv 2201.02327, equation 5).

    Args:
        temperature: What scores are divided by.
        cosine: Train on cosines, as the paper does; ranking uses dot products all the same.
    """

    def __init__(self, *, temperature: PositiveFloat = 0.15, cosine: bool = True) -> None:
        super().__init__()
        self.temperature = temperature
        self.cosine = cosine

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """``[B], [B, K] -> []``."""
        scores = torch.cat([positive.unsqueeze(1), negative], dim=1) / self.temperature
        return (torch.logsumexp(scores, dim=1) - scores[:, 0]).mean()


class SquaredError(Loss):
    """Observed pairs score 1, drawn ones 0 (Hu et al. 2008, doi 10.1109/ICDM.2008.22, sampled)."""

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """``[B], [B, K] -> []``."""
        return (1 - positive).square().mean() + negative.square().mean()


LOSSES: Kind[Loss] = Kind("loss", Loss, "gnnseg.losses")
