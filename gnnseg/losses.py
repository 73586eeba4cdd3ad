"""What link prediction is trained on: observed pairs against drawn ones, or against all.

A loss takes scores of ``B`` observed pairs, ``[B]``, and of ``K`` drawn items for each, ``[B, K]``, and
returns their mean, ``[]``. One that needs more than these scores takes the whole tables (:meth:`Loss.of`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.batch import Batch
from gnnseg.components import Component, Kind, NonNegativeFloat, PositiveFloat
from gnnseg.graph import BipartiteGraph, Embeddings

__all__ = [
    "BPR",
    "LOSSES",
    "BinaryCrossEntropy",
    "CosineContrastive",
    "FullSoftmax",
    "Loss",
    "SampledSoftmax",
    "SquaredError",
    "SquaredErrorAllPairs",
]


class Loss(Component, nn.Module, ABC):
    """A loss of link prediction.

    Attributes:
        cosine: Whether scores in training are cosines instead of dot products.
        draws: Whether it looks at drawn items; if not, none are drawn.
    """

    cosine: bool = False
    draws: bool = True

    @abstractmethod
    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """Loss of observed pairs ``[B]`` against drawn ones ``[B, K]``, a scalar."""

    def of(self, tables: Embeddings, batch: Batch) -> Tensor:
        """Loss of a batch, a scalar: the mean over its pairs and what stands beside it.

        Args:
            tables: What is multiplied, ``[U, d]`` and ``[I, d]``; unit vectors where ``cosine`` says so.
            batch: Pairs and drawn items.
        """
        value, beside = self.mean_of(tables, batch), self.beside(tables, batch.graph)
        return value if beside is None else value + beside

    def mean_of(self, tables: Embeddings, batch: Batch) -> Tensor:
        """The mean over a batch's pairs, a scalar: here :meth:`forward` of their scores and of drawn items'.

        Args:
            tables: As :meth:`of` has them.
            batch: Pairs and drawn items.
        """
        value: Tensor = self(*batch.scores(tables))
        return value

    def beside(self, tables: Embeddings, graph: BipartiteGraph) -> Tensor | None:
        """What every step adds to its mean, a sum over all users, a scalar; here nothing.

        Args:
            tables: As :meth:`of` has them.
            graph: The training graph.
        """
        return None


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


class CosineContrastive(Loss):
    """``1 - cos+ + w mean max(0, cos- - m)``: easy drawn items do not count (arXiv 2109.12613, equation 2).

    Args:
        margin: ``m``; drawn items with a smaller cosine are left alone.
        negative_weight: ``w``, of the mean over the drawn items.
    """

    cosine = True

    def __init__(self, *, margin: NonNegativeFloat = 0.4, negative_weight: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.margin = margin
        self.negative_weight = negative_weight

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """``[B], [B, K] -> []``."""
        return (1 - positive).mean() + self.negative_weight * F.relu(negative - self.margin).mean()


class SampledSoftmax(Loss):
    """The observed item against the drawn ones in one softmax (Wu et al., arXiv 2201.02327, equation 5).

    Args:
        temperature: What scores are divided by.
        cosine: Train on cosines, as the paper does; ranking uses dot products all the same.
        log_q: Subtract from the logit of a drawn item the log of how much likelier than a uniform one it was
            to be drawn, so that the softmax over the catalogue is estimated whatever the sampler (Bengio and
            Senecal 2008, doi 10.1109/TNN.2007.912312; Yi et al. 2019, doi 10.1145/3298689.3346996).
    """

    def __init__(
        self, *, temperature: PositiveFloat = 0.15, cosine: bool = True, log_q: bool = False
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.cosine = cosine
        self.log_q = log_q

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """``[B], [B, K] -> []``."""
        scores = torch.cat([positive.unsqueeze(1), negative], dim=1) / self.temperature
        return (torch.logsumexp(scores, dim=1) - scores[:, 0]).mean()

    def mean_of(self, tables: Embeddings, batch: Batch) -> Tensor:
        """As :meth:`Loss.mean_of`, with the correction; a scalar."""
        positive, negative = batch.scores(tables)
        if self.log_q and batch.log_q is not None:
            negative = negative - self.temperature * batch.log_q.index_select(0, batch.place)
        value: Tensor = self(positive, negative)
        return value


class FullSoftmax(SampledSoftmax):
    """The observed item in one softmax over the whole catalogue, without drawing: a multinomial likelihood.

    The likelihood of a user's items is that of Liang et al., arXiv 1802.05814, equation 2. A batch takes
    ``b I`` scores for its ``b`` users, whatever their number of pairs.

    Args:
        temperature: What scores are divided by.
        cosine: Train on cosines; ranking uses dot products all the same.
        own_items: Leave the user's other training items among the alternatives, as the multinomial likelihood
            does; if not, an observed item stands against the items that the user does not have.
    """

    draws = False

    def __init__(
        self, *, temperature: PositiveFloat = 1.0, cosine: bool = False, own_items: bool = True
    ) -> None:
        super().__init__(temperature=temperature, cosine=cosine)
        self.own_items = own_items

    def mean_of(self, tables: Embeddings, batch: Batch) -> Tensor:
        """The mean over a batch's pairs, a scalar."""
        logits = tables.users.index_select(0, batch.users) @ tables.items.T / self.temperature
        positive = logits[batch.place, batch.items]
        if self.own_items:
            return (logits.logsumexp(1).index_select(0, batch.place) - positive).mean()
        own = logits.new_zeros(len(logits), logits.shape[1] + 1, dtype=torch.bool)
        own.scatter_(1, batch.graph.items_of(batch.users), True)
        others = logits.masked_fill(own[:, :-1], -torch.inf).logsumexp(1).index_select(0, batch.place)
        return F.softplus(others - positive).mean()


class SquaredError(Loss):
    """Observed pairs score 1, drawn ones 0 (Hu et al. 2008, doi 10.1109/ICDM.2008.22, sampled).

    Args:
        negative_weight: Of the drawn pairs' mean.
    """

    def __init__(self, *, negative_weight: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.negative_weight = negative_weight

    def forward(self, positive: Tensor, negative: Tensor) -> Tensor:
        """``[B], [B, K] -> []``."""
        return (1 - positive).square().mean() + self.negative_weight * negative.square().mean()


class SquaredErrorAllPairs(SquaredError):  # noqa: N818
    """Observed pairs score 1, all others 0 at a smaller weight (Hu et al. 2008), without drawing.

    With ``S = U V^T``, observed pairs ``R`` and ``a`` the weight of the others, the loss is
    ``sum_R (1 - s)^2 + a sum_{not R} s^2 = sum_R [(1 - s)^2 - a s^2] + a |S|^2``, and
    ``|S|^2 = trace(V U^T U V^T) = <U^T U, V^T V>``: ``O(|R| d + (U + I) d^2)`` instead of ``O(U I d)``.

    A batch takes the mean of the bracket over its own pairs plus ``a |S|^2 / |R|``. The mean over an epoch's
    interactions, at fixed tables, is then the exact loss divided by ``|R|``, and each step's gradient an
    unbiased estimate of its gradient.

    Args:
        negative_weight: ``a``, of a pair that is not observed.
    """

    draws = False

    def __init__(self, *, negative_weight: PositiveFloat = 0.1) -> None:
        super().__init__(negative_weight=negative_weight)

    def mean_of(self, tables: Embeddings, batch: Batch) -> Tensor:
        """The mean of the bracket over a batch's pairs, a scalar."""
        positive, _ = batch.scores(tables)
        return ((1 - positive).square() - self.negative_weight * positive.square()).mean()

    def beside(self, tables: Embeddings, graph: BipartiteGraph) -> Tensor:
        """``a |S|^2 / |R|``, a scalar."""
        users, items = tables
        with torch.autocast(users.device.type, enabled=False):  # half precision would overflow in the sums
            total = ((users.T @ users) * (items.T @ items)).sum()
        return self.negative_weight * total / graph.num_edges


LOSSES: Kind[Loss] = Kind("loss", Loss, "gnnseg.losses")
