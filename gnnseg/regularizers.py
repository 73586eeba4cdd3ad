"""What stage 1 adds to its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.batch import Batch, distinct
from gnnseg.components import Component, Kind, NonNegativeFloat, PositiveFloat, PositiveInt
from gnnseg.encoders import Encoder, GraphEncoder, LightGCN
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings

__all__ = ["REGULARIZERS", "EmbeddingL2", "Regularizer", "SimGCL", "XSimGCL", "info_nce"]


class Regularizer(Component, nn.Module, ABC):
    """A term beside the loss of link prediction, its weight included."""

    @abstractmethod
    def forward(self, encoder: Encoder, batch: Batch) -> Tensor:
        """The term for a batch, a scalar, differentiable in the encoder's parameters."""

    def embed(self, encoder: Encoder, graph: BipartiteGraph) -> Embeddings | None:
        """The embeddings to train on in this step, before ``forward``; None for the encoder's own."""
        return None

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder that this does not fit.

        Raises:
            ConfigError: If it does not.
        """


class EmbeddingL2(Regularizer):
    """``w / 2B sum (|e_u|^2 + |e_i|^2 + |e_j|^2)`` of layer 0, as in the code of He et al., arXiv 2002.02126.

    Args:
        weight: ``w``. Of several drawn items of a pair the mean counts, so that it keeps its meaning.
    """

    def __init__(self, *, weight: NonNegativeFloat = 1e-4) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, encoder: Encoder, batch: Batch) -> Tensor:
        """The term for a batch, a scalar."""
        users, items = batch.graph.unstack(_with_inputs(encoder).inputs().square().sum(1))
        value = users.index_select(0, batch.users).index_select(0, batch.place)
        value = value + items.index_select(0, batch.items)
        if batch.negatives.shape[1]:
            drawn = items.index_select(0, batch.negatives.view(-1)).view_as(batch.negatives)
            value = value + drawn.mean(1).index_select(0, batch.place)
        return self.weight / 2 * value.mean()

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder without a free vector for each node."""
        _with_inputs(encoder)


class SimGCL(Regularizer):
    """Two noisy passes must agree on who is who (SimGCL, Yu et al., arXiv 2112.08679).

    A pass adds to each vector of a propagated layer noise of length ``eps`` in the vector's own orthant and
    takes the mean of layers ``1 .. L``. InfoNCE compares both passes on the different users of a batch, and
    on its different items.

    Args:
        weight: Of the sum of users' and items' InfoNCE.
        temperature: What cosines are divided by.
        eps: Length of the noise.
    """

    def __init__(
        self, *, weight: NonNegativeFloat = 0.5, temperature: PositiveFloat = 0.2, eps: PositiveFloat = 0.1
    ) -> None:
        super().__init__()
        self.weight = weight
        self.temperature = temperature
        self.eps = eps

    def forward(self, encoder: Encoder, batch: Batch) -> Tensor:
        """The term for a batch, a scalar."""
        layered = _layered(self, encoder, 1)
        first, second = (
            batch.graph.unstack(torch.stack(_noisy(layered, batch.graph, self.eps)[1:]).mean(0))
            for _ in range(2)
        )
        return self.weight * _agreement(first, second, batch, self.temperature)

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder without layers that noise can be added to."""
        _layered(self, encoder, 1)


class XSimGCL(Regularizer):
    """The one, noisy pass must agree with one of its own layers on who is who (arXiv 2209.02544).

    Args:
        weight: Of the sum of users' and items' InfoNCE.
        temperature: What cosines are divided by.
        eps: Length of the noise.
        layer: The layer contrasted with the result, from 1.
    """

    def __init__(
        self,
        *,
        weight: NonNegativeFloat = 0.2,
        temperature: PositiveFloat = 0.2,
        eps: PositiveFloat = 0.2,
        layer: PositiveInt = 1,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.temperature = temperature
        self.eps = eps
        self.layer = layer
        self._pass: tuple[Embeddings, Embeddings] | None = None

    def embed(self, encoder: Encoder, graph: BipartiteGraph) -> Embeddings:
        """The encoder's result with noise in its layers."""
        layered = _layered(self, encoder, self.layer)
        layers = _noisy(layered, graph, self.eps)
        result = layered.combine(graph, layers)
        self._pass = result, graph.unstack(layers[self.layer])
        return result

    def forward(self, encoder: Encoder, batch: Batch) -> Tensor:
        """The term for a batch, a scalar, of the pass that :meth:`embed` made."""
        if self._pass is None:
            self.embed(encoder, batch.graph)
        assert self._pass is not None
        (result, layer), self._pass = self._pass, None
        return self.weight * _agreement(result, layer, batch, self.temperature)

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder without so many layers that noise can be added to."""
        _layered(self, encoder, self.layer)


def info_nce(first: Tensor, second: Tensor, temperature: float, counts: Tensor | None) -> Tensor:
    """Row ``n`` of one view against all rows of the other, its own the right one: mean cross-entropy.

    Args:
        first: ``[b, d]``.
        second: ``[b, d]``.
        temperature: What cosines are divided by.
        counts: Rows that count, ``[b]``; None for all.

    Returns:
        ``[]``.
    """
    first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
    right = (first * second).sum(1) / temperature
    logits = first @ second.T / temperature
    if counts is None:
        return (logits.logsumexp(1) - right).mean()
    rows = logits.masked_fill(~counts, -torch.inf).logsumexp(1) - right
    return (rows * counts).sum() / counts.sum()


def _agreement(first: Embeddings, second: Embeddings, batch: Batch, temperature: float) -> Tensor:
    """InfoNCE between two views on the different users of a batch, plus that on its different items."""
    value = torch.zeros((), device=batch.items.device)
    for one, other, rows in zip(first, second, (batch.users, batch.items), strict=True):
        different, counts = distinct(rows)
        one, other = one.index_select(0, different), other.index_select(0, different)
        value = value + info_nce(one, other, temperature, counts)
    return value


def _with_inputs(encoder: Encoder) -> GraphEncoder:
    """The encoder, if it has a layer 0."""
    if not isinstance(encoder, GraphEncoder):
        kind = type(encoder).__name__
        raise ConfigError(
            f"EmbeddingL2 needs an encoder with a free vector for each node (got {kind}); use LightGCN or "
            "another GraphEncoder"
        )
    return encoder


def _layered(regularizer: Regularizer, encoder: Encoder, num_layers: int) -> LightGCN:
    """The encoder, if it has so many layers that noise can be added to."""
    name, kind = type(regularizer).__name__, type(encoder).__name__
    if not isinstance(encoder, LightGCN):
        raise ConfigError(
            f"{name} needs an encoder whose layers take noise (got {kind}); use LightGCN or a subclass of it"
        )
    if encoder.num_layers < num_layers:
        raise ConfigError(
            f"{name} needs layer {num_layers} of the encoder (got num_layers {encoder.num_layers}); "
            f"give {kind} as many"
        )
    return encoder


def _noisy(encoder: LightGCN, graph: BipartiteGraph, eps: float) -> list[Tensor]:
    """Layers ``0 .. L``, each propagated one with noise from torch's global generator."""

    def perturb(layer: Tensor) -> Tensor:
        return layer + layer.sign() * F.normalize(torch.rand_like(layer), dim=1) * eps

    return encoder.layers(graph, perturb)


REGULARIZERS: Kind[Regularizer] = Kind("regularizer", Regularizer, "gnnseg.regularizers")
