"""The model: an encoder, and once users are divided into segments, a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gnnseg.batch import Product
from gnnseg.encoders import ENCODERS, Encoder
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.heads import SegmentHead
from gnnseg.scoring import DotProduct, Scorer
from gnnseg.segments import Segmenter


def encoder_bytes(
    spec: Mapping[str, Any], num_users: int, num_items: int, num_features: int | None
) -> int | None:
    """Bytes of an encoder's parameters, found without taking any, or None where it cannot be made that way.

    Args:
        spec: A component of ``gnnseg.encoders``.
        num_users: ``U``.
        num_items: ``I``.
        num_features: Features of an item, ``f``, or None without any.
    """
    try:
        with torch.device("meta"):
            features = None if num_features is None else torch.empty(num_items, num_features)
            encoder = ENCODERS.create(spec, num_users, num_items, features)
    except (NotImplementedError, RuntimeError, TypeError):  # an encoder that looks at numbers, which are none
        return None
    return sum(p.numel() * p.element_size() for p in encoder.parameters())


class SegmentRecommender(nn.Module):
    """An encoder whose embeddings a head adapts to each user's segments.

    Without segments it is the plain encoder, the global model.

    Args:
        encoder: Graph to embeddings.
        segmenter: Fitted, or None.
        head: Conditions the embeddings on segments, or None.
    """

    def __init__(
        self, encoder: Encoder, segmenter: Segmenter | None = None, head: SegmentHead | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.segmenter = segmenter
        self.head = head

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Vectors of all users ``[U, e]`` and all items ``[I, e]``."""
        return self.condition(self.encoder(graph))

    def condition(self, embeddings: Embeddings) -> Embeddings:
        """Apply the head to the encoder's embeddings, if there is one."""
        if self.segmenter is None or self.head is None:
            return embeddings
        adapted: Embeddings = self.head(embeddings, self.segmenter.memberships)
        return adapted

    @torch.no_grad()
    def embed(self, graph: BipartiteGraph) -> Embeddings:
        """As :meth:`forward`, in evaluation mode and without gradients."""
        was_training = self.training
        self.eval()
        embeddings: Embeddings = self(graph)
        self.train(was_training)
        return embeddings

    def scorer(self, graph: BipartiteGraph) -> Scorer:
        """The model as a scorer."""
        return self.scorer_of(self.embed(graph))

    def scorer_of(self, adapted: Embeddings) -> Scorer:
        """What scores adapted vectors ``[U, e]`` and ``[I, e]``."""
        return DotProduct(*adapted) if self.head is None else self.head.scorer(adapted)

    @property
    def product(self) -> Product | None:
        """What scores pairs of adapted vectors in training; None for the dot product."""
        return None if self.head is None or self.head.is_dot_product else self.head.product

    def add_segments(
        self, segmenter: Segmenter, head: SegmentHead, graph: BipartiteGraph | None = None
    ) -> None:
        """Condition on segments from now on.

        Args:
            segmenter: Fitted.
            head: Put on the encoder.
            graph: The training graph, for heads that take something from it; None if they have it.
        """
        if graph is not None:
            head.bind(graph, segmenter.memberships)
        self.segmenter = segmenter
        self.head = head

    @torch.no_grad()
    def fold_in(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor | None]:
        """Adapt new users' encoder vectors ``[B, d]``: adapted ``[B, e]`` and memberships ``[B, S]``."""
        if self.segmenter is None:
            return users, None
        memberships = self.segmenter(users)
        if self.head is None:
            return users, memberships
        self.head.eval()
        return self.head.fold_in(Embeddings(users, items), memberships), memberships

    def parameter_counts(self) -> dict[str, int]:
        """``total`` parameters and those ``trainable`` in fine-tuning (the head's, if there is one)."""
        trained = self if self.head is None else self.head
        return {
            "total": sum(p.numel() for p in self.parameters()),
            "trainable": sum(p.numel() for p in trained.parameters()),
        }

    @property
    def trainable_share(self) -> float:
        """Parameters trained in fine-tuning as a share of all; 0 where there are none."""
        counts = self.parameter_counts()
        return counts["trainable"] / max(counts["total"], 1)
