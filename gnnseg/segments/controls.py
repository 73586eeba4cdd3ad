"""Segments that know nothing of the users, against which a gain must hold."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
import torch
from pydantic import BeforeValidator
from torch import Tensor

from gnnseg.components import PositiveInt, Spec
from gnnseg.data import UserData
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Segmenter, check_users
from gnnseg.segments.consensus import SEGMENTERS


def _resolve(spec: Spec | None) -> Spec | None:
    return None if spec is None else SEGMENTERS.resolve(spec)


class Random(Segmenter):
    """Segments drawn at random: the control for what an ensemble of as many parts gains by itself.

    With ``like``, that segmenter is fitted first, with the same random numbers as it would have alone, and
    its memberships are dealt out to the users anew: the same sizes, softness and users outside. Without,
    users are divided into equal parts. Users known only by their vectors get the mean membership.

    Args:
        num_segments: ``S``, where ``like`` is None.
        like: A segmenter, as a spec, or None.
    """

    mean: Tensor

    def __init__(
        self,
        *,
        num_segments: PositiveInt = 6,
        like: Annotated[Spec | None, BeforeValidator(_resolve)] = None,
    ) -> None:
        super().__init__()
        self._wanted = num_segments
        self.like = like

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Draw memberships."""
        vectors = embeddings.users
        if self.like is None:
            check_users(vectors, self._wanted)
            dealt = torch.eye(self._wanted)[torch.arange(len(vectors)) % self._wanted].to(vectors.device)
        else:
            like = SEGMENTERS.create(self.like).to(vectors.device)
            dealt = like.fit(graph, embeddings, rng, users).memberships
        order = torch.from_numpy(rng.permutation(len(vectors))).to(dealt.device)
        total = dealt.sum(0)
        self.learned(memberships=dealt[order], mean=total / total.sum().clamp(min=1e-12))
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``, the same for all."""
        self.check_learned("mean")
        return self.mean.expand(len(users), -1)


class Hard(Segmenter):
    """A segmenter's strongest segment alone: every user in one segment or in none.

    Args:
        of: A segmenter, as a spec.
    """

    def __init__(self, *, of: Annotated[Spec, BeforeValidator(SEGMENTERS.resolve)] = "KMeans") -> None:
        super().__init__()
        self.of = SEGMENTERS.create(of)

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Fit that segmenter."""
        self.of.fit(graph, embeddings, rng, users)
        self.learned(memberships=_hardened(self.of.memberships))
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``, of zeros and ones."""
        return _hardened(self.of(users))


def _hardened(memberships: Tensor) -> Tensor:
    """One where a row is largest, 0 elsewhere; rows of zeros stay."""
    chosen = torch.zeros_like(memberships).scatter_(1, memberships.argmax(1, keepdim=True), 1.0)
    return chosen * (memberships.sum(1, keepdim=True) > 0)
