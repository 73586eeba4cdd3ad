"""Users to soft segments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.components import Component, PositiveFloat
from gnnseg.data import UserData
from gnnseg.errors import ConfigError, DataError, NotFittedError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.scoring import strongest


class Segmenter(Component, nn.Module, ABC):
    """Divides users into overlapping segments.

    What it learned lives in buffers, so it is in the ``state_dict``; loading one gives the buffers their
    sizes. ``memberships`` belong to the users it was fitted on, :meth:`forward` assigns any others. A row of
    memberships sums to one, or is all zero: that user is outside every segment, its label is -1, and heads
    leave it to the global model.

    Attributes:
        memberships: Share of each fitted user in each segment, rows sum to one or are zero, ``[U, S]``.
    """

    memberships: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("memberships", torch.zeros(0, 0))

    @abstractmethod
    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn segments.

        Args:
            graph: The training graph.
            embeddings: Users ``[U, d]`` and items ``[I, d]``.
            rng: Source of all randomness.
            users: Times and the users' table, which few segmenters need.

        Raises:
            ConfigError: If there are more segments than users, or ``users`` lacks what is needed.
            DataError: If the embeddings are not finite.
        """

    @abstractmethod
    def forward(self, users: Tensor) -> Tensor:
        """Memberships of any users from their vectors, ``[B, d] -> [B, S]``; rows sum to one or are zero."""

    @property
    def names(self) -> tuple[str, ...] | None:
        """What each segment is called, where it has a name from the start."""
        return None

    @property
    def num_segments(self) -> int:
        """``S``.

        Raises:
            NotFittedError: Before :meth:`fit`.
        """
        if self.memberships.shape[1] == 0:
            raise NotFittedError(f"{type(self).__name__} has no segments yet; call fit first")
        return self.memberships.shape[1]

    @property
    def labels(self) -> Tensor:
        """The strongest segment of each fitted user, -1 outside every segment, ``[U]``.

        Raises:
            NotFittedError: Before :meth:`fit`.
        """
        return strongest(self.memberships[:, : self.num_segments])

    def check_learned(self, name: str) -> None:
        """Refuse to go on before a buffer has been learned or loaded.

        Raises:
            NotFittedError: If there is no such buffer.
        """
        if name not in self._buffers:
            raise NotFittedError(f"{type(self).__name__} has no {name} yet; call fit first")

    def learned(self, **buffers: Tensor) -> None:
        """Store what was learned, on the CPU's numbers as given, as float32 buffers."""
        for name, value in buffers.items():
            self.register_buffer(name, value.detach().float().contiguous())

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        for key, value in state_dict.items():
            name = key.removeprefix(prefix)
            if key.startswith(prefix) and "." not in name:
                self.register_buffer(name, torch.empty_like(value, device=self.memberships.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


class Centred(Segmenter):
    """Assigns vectors by a softmax of minus the squared distance to the segments' centres.

    Distances are in units of ``temperature`` times the mean squared distance of the users to the centres of
    their own segments.

    Args:
        temperature: Softness; towards zero every vector is in one segment.
        normalize: Measure between directions (unit vectors) instead of the vectors themselves.
    """

    centres: Tensor
    width: Tensor

    def __init__(self, *, temperature: PositiveFloat = 0.25, normalize: bool = True) -> None:
        super().__init__()
        self.temperature = temperature
        self.normalize = normalize

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``."""
        self.check_learned("centres")
        return soft_assign(self.points(users), self.centres, self.width)

    def points(self, users: Tensor) -> Tensor:
        """What distances are measured between, ``[B, d]``."""
        return F.normalize(users, dim=1) if self.normalize else users

    def learn_groups(self, users: Tensor, shares: Tensor) -> None:
        """Take memberships as they are and learn centres, the means that they weigh, to assign others by.

        Args:
            users: Vectors, ``[U, d]``.
            shares: Rows sum to one, or to zero for users who are assigned by their vectors, ``[U, S]``.
        """
        points, shares = self.points(users.detach()), shares.to(users)
        known = shares.sum(1, keepdim=True) > 0
        sizes = shares.sum(0).clamp(min=1e-12)
        centres = (shares.T @ points) / sizes.unsqueeze(1)
        distances = torch.stack([(points - centre).square().sum(1) for centre in centres], dim=1)
        self.learned(
            centres=centres,
            width=self.temperature * (shares * distances).sum() / known.sum().clamp(min=1),
        )
        self.learned(memberships=torch.where(known, shares, self(users)))


def check_users(users: Tensor, num_segments: int) -> None:
    """Refuse more segments than users, and vectors ``[U, d]`` that are not finite.

    Raises:
        ConfigError: For too many segments.
        DataError: For NaN or infinite vectors.
    """
    if num_segments > len(users):
        raise ConfigError(
            f"'num_segments' must be at most the number of users {len(users)} (got {num_segments})"
        )
    if not torch.isfinite(users).all():
        raise DataError(
            "user vectors hold NaN or infinite values; train the encoder with a lower learning rate"
        )


def soft_assign(points: Tensor, centres: Tensor, width: Tensor) -> Tensor:
    """Softmax of minus the squared distance over ``width``: ``[B, d], [S, d], [] -> [B, S]``."""
    distances = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist").square()
    return torch.softmax(-distances / width.clamp(min=1e-12), dim=1)


def spread(points: Tensor, centres: Tensor, labels: Tensor) -> Tensor:
    """Mean squared distance of points ``[U, d]`` to the centre of their label, ``[]``."""
    return (points - centres[labels]).square().sum(1).mean()


def as_seed(rng: np.random.Generator) -> int:
    """A seed for a library that wants an integer."""
    return int(rng.integers(2**31 - 1))
