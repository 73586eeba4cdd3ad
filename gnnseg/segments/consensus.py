"""One set of segments that several views agree on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self, cast

import numpy as np
import torch
from pydantic import BeforeValidator
from torch import Tensor, nn

from gnnseg.components import Kind, PositiveFloat, PositiveInt, Spec
from gnnseg.data import UserData
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Segmenter, check_users, soft_assign, spread
from gnnseg.segments.clusters import kmeans

SEGMENTERS: Kind[Segmenter] = Kind("segmenter", Segmenter, "gnnseg.segments")

View = Annotated[Spec, BeforeValidator(SEGMENTERS.resolve)]
"""A view's spec, resolved: a saved config holds its hyper-parameters too."""


class Views(Segmenter):
    """Several segmentations side by side: a user's membership is shared among them equally.

    Nothing is put together: with two views every user is half in a segment of the first and half in one of
    the second. :class:`Consensus` makes one segmentation of several.

    Args:
        views: Two or more segmenters, as specs.

    Raises:
        ConfigError: For fewer than two.
    """

    def __init__(self, *, views: Sequence[View] = ("Leiden", "KMeans")) -> None:
        super().__init__()
        if len(views) < 2:
            name = type(self).__name__
            raise ConfigError(f"{name}: 'views' must name at least two segmenters (got {list(views)!r})")
        self.views = nn.ModuleList(SEGMENTERS.create(view) for view in views)

    @property
    def members(self) -> list[Segmenter]:
        """The segmenters of the views."""
        return cast(list[Segmenter], list(self.views))

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Fit every view; users whom only some have in a segment belong to those alone."""
        for view in self.members:
            view.fit(graph, embeddings, rng, users)
        self.learned(memberships=_shared(torch.cat([view.memberships for view in self.members], dim=1)))
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``, the segments of all views after each other."""
        return _shared(self.side_by_side(users))

    def side_by_side(self, users: Tensor) -> Tensor:
        """Every view's memberships, ``[B, d] -> [B, S_1 + S_2 + ...]``."""
        return torch.cat([view(users) for view in self.members], dim=1)


def _shared(memberships: Tensor) -> Tensor:
    return memberships / memberships.sum(1, keepdim=True).clamp(min=1e-12)


class Consensus(Views):
    """Segments of users whom several segmenters put together.

    With ``Z`` the views' memberships side by side, ``Z Z^T`` is the (soft) co-association matrix: how often
    two users share a segment (Strehl and Ghosh 2002, JMLR 3). K-means on the rows of ``Z`` is kernel k-means
    on that matrix (Wu et al. 2015, doi 10.1109/TKDE.2014.2316512), without ever building it: the cost is
    linear in users.

    Args:
        views: Two or more segmenters, as specs.
        num_segments: ``S``.
        temperature: Softness, as in :class:`KMeans`.
        num_starts: K-means runs, the best of which is kept.
    """

    centres: Tensor
    width: Tensor

    def __init__(
        self,
        *,
        views: Sequence[View] = ("Leiden", "KMeans"),
        num_segments: PositiveInt = 6,
        temperature: PositiveFloat = 4.0,
        num_starts: PositiveInt = 4,
    ) -> None:
        super().__init__(views=views)
        self._wanted = num_segments
        self.temperature = temperature
        self.num_starts = num_starts

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Fit every view, then cluster the memberships of the users whom any of them has in a segment.

        Raises:
            ConfigError: If there are fewer of those than segments.
        """
        check_users(embeddings.users, self._wanted)
        for view in self.members:
            view.fit(graph, embeddings, rng, users)
        points = torch.cat([view.memberships for view in self.members], dim=1)
        inside = points[points.sum(1) > 0]
        if len(inside) < self._wanted:
            raise ConfigError(
                f"'num_segments' must be at most the number of users whom a view has in a segment, "
                f"{len(inside)} (got {self._wanted})"
            )
        centres, labels = kmeans(inside, self._wanted, self.num_starts, rng)
        self.learned(centres=centres, width=self.temperature * spread(inside, centres, labels))
        self.learned(memberships=self._assign(points))
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``; who is outside for every view is outside."""
        self.check_learned("centres")
        return self._assign(self.side_by_side(users))

    def _assign(self, points: Tensor) -> Tensor:
        return soft_assign(points, self.centres, self.width) * (points.sum(1, keepdim=True) > 0)
