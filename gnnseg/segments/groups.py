"""Segments that are read off the data: by activity, by time, by columns of the users' table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from gnnseg.components import NonNegativeFloat, PositiveInt
from gnnseg.data import UserData
from gnnseg.errors import ConfigError, DataError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Centred, check_users


class ByActivity(Centred):
    """By the length of users' histories, in quantiles (RFM analysis has such groups: Hughes 1994).

    On the scale of ``log(1 + length)``, a share falls off over a border as a logistic curve (McCullagh 1980,
    proportional odds). Histories of one length are never divided, so there may be fewer segments than asked
    for. Users known only by their vectors are assigned by those.

    Args:
        num_segments: ``S``.
        softness: Scale of the logistic curve, in standard deviations; 0 divides sharply.
        kwargs: Hyper-parameters of :class:`Centred`.
    """

    def __init__(
        self, *, num_segments: PositiveInt = 4, softness: NonNegativeFloat = 0.1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._wanted = num_segments
        self.softness = softness

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn the mean vector of each segment."""
        check_users(embeddings.users, self._wanted)
        lengths = np.log1p(np.diff(graph.biadjacency().indptr).astype(np.float64))
        distance = lengths[:, None] - borders(lengths, self._wanted)  # [U, S - 1]
        if self.softness:
            # tanh is the logistic curve that does not overflow
            above = (1 + np.tanh(distance / (2 * self.softness * max(lengths.std(), 1e-12)))) / 2
        else:
            above = (distance > 0).astype(np.float64)
        edges = np.ones((len(lengths), 1)), above, np.zeros((len(lengths), 1))
        shares = -np.diff(np.concatenate(edges, axis=1), axis=1)
        self.learn_groups(embeddings.users, torch.from_numpy(shares))
        return self


class ByTime(Centred):
    """By when users are active: a membership is the share of a user's interactions in a window of time.

    Windows hold equally many training interactions; what happened in one second is never divided, so there
    may be fewer of them than asked for. Users without training interactions, and any others, are assigned by
    their vectors.

    Args:
        num_segments: ``S``, windows.
        kwargs: Hyper-parameters of :class:`Centred`.
    """

    def __init__(self, *, num_segments: PositiveInt = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._wanted = num_segments

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn the mean vector of each segment.

        Raises:
            ConfigError: Without ``users``, or if there are more segments than users.
            DataError: If interactions have no times, or there are none.
        """
        check_users(embeddings.users, self._wanted)
        train = _needed(users, self).train
        if train.times is None or not len(train):
            raise DataError(
                "ByTime needs the times of interactions; name their column in the source ('time')"
            )
        window = np.searchsorted(borders(train.times, self._wanted), train.times)
        size = int(window.max()) + 1
        counts = np.bincount(train.users * size + window, minlength=graph.num_users * size)
        counts = counts.reshape(graph.num_users, size).astype(np.float64)
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        self.learn_groups(embeddings.users, torch.from_numpy(shares))
        return self


class ByColumn(Centred):
    """By the values that users have in columns of the users' table, each combination a segment.

    A column of more than ``num_bins`` different numbers is divided at its quantiles. Combinations of too few
    users are one segment, "other", the last. Users of whom a value is not known are assigned by their
    vectors, and so are the users of an "other" that is itself too small, and any others.

    Args:
        columns: Which, such as ``[gender, age]``.
        num_bins: Quantiles of a column of numbers.
        min_users: Combinations with fewer users are joined.
        kwargs: Hyper-parameters of :class:`Centred`.

    Raises:
        ConfigError: If no column is named.
    """

    known_as: Tensor

    def __init__(
        self,
        *,
        columns: Sequence[str],
        num_bins: PositiveInt = 4,
        min_users: PositiveInt = 10,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not columns:
            raise ConfigError("ByColumn: 'columns' must name at least one column (got none)")
        self.columns = tuple(columns)
        self.num_bins = num_bins
        self.min_users = min_users

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Learn the mean vector of each segment.

        Raises:
            ConfigError: Without ``users``, or if the table lacks a column.
            DataError: If no user has all the values.
        """
        check_users(embeddings.users, 1)
        data = _needed(users, self)
        found = [values_of(data.column(name, graph.num_users), self.num_bins, name) for name in self.columns]
        names, place = combined(list(zip(*found, strict=True)), self.min_users)
        if not names:
            raise DataError(f"no user has a value in every one of {', '.join(self.columns)}")
        shares = (place[:, None] == np.arange(len(names))).astype(np.float64)
        self.learn_groups(embeddings.users, torch.from_numpy(shares))
        # bytes in float32, as all that is learned
        coded = np.frombuffer(json.dumps(names).encode(), dtype=np.uint8)
        self.learned(known_as=torch.from_numpy(coded.copy()))
        return self

    @property
    def names(self) -> tuple[str, ...] | None:
        """The values of each segment, such as ``gender F, age 25 to 34``."""
        self.check_learned("known_as")
        return tuple(json.loads(bytes(self.known_as.to(torch.uint8).tolist())))


def _needed(users: UserData | None, by: Centred) -> UserData:
    if users is None:
        raise ConfigError(
            f"{type(by).__name__} needs what is known of the users; give fit 'users', a UserData (got None)"
        )
    return users


def borders(values: np.ndarray, count: int) -> np.ndarray:
    """Where to divide values ``[n]`` into ``count`` equal parts, each between two different values.

    Equal values stay together, so that there may be fewer borders than ``count - 1``.
    """
    ordered = np.sort(values)
    places = np.arange(1, count) * len(ordered) // count
    below = np.unique(ordered[np.maximum(places - 1, 0)])
    following = np.searchsorted(ordered, below, side="right")
    inside = following < len(ordered)
    return np.asarray((below[inside] + ordered[following[inside]]) / 2)


def combined(rows: Sequence[tuple[str | None, ...]], min_users: int) -> tuple[list[str], np.ndarray]:
    """Groups of users by what is said of them, the largest first.

    Args:
        rows: One a user.
        min_users: Smaller groups are joined as "other", the last, if they are that many together.

    Returns:
        The groups' names, and each user's group, ``[U]``; -1 where a value is not known or nothing fits.
    """
    values = [None if None in row else ", ".join(map(str, row)) for row in rows]
    counts = Counter(value for value in values if value is not None)
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    large = [value for value in ordered if counts[value] >= min_users]
    rest = sum(counts.values()) - sum(counts[value] for value in large)
    names = [*large, "other"] if counts and (rest >= min_users or not large) else large
    column = {name: position for position, name in enumerate(names)}
    other = column.get("other", -1)
    place = np.array([-1 if value is None else column.get(value, other) for value in values])
    return names, place


def values_of(column: np.ndarray, num_bins: int, name: str) -> list[str | None]:
    """What the segment of each user says of a column ``[U]``, None where nothing is known."""
    if column.dtype.kind not in "iuf":
        return [None if value is None or value != value else f"{name} {value}" for value in column.tolist()]
    known = np.isfinite(column)
    different = np.unique(column[known])
    if len(different) <= num_bins:
        return [f"{name} {value:g}" if ok else None for value, ok in zip(column.tolist(), known, strict=True)]
    bins = np.searchsorted(borders(column[known], num_bins), column)
    spans = {}
    for found in np.unique(bins[known]).tolist():
        inside = column[known & (bins == found)]
        spans[found] = f"{name} {inside.min():g} to {inside.max():g}"
    return [spans[found] if ok else None for found, ok in zip(bins.tolist(), known, strict=True)]
