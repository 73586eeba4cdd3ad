"""What is learned from, what is chosen on, and what is read once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from gnnseg.components import Component, Kind, NonNegativeInt, Probability
from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IntArray
from gnnseg.data.interactions import Interactions
from gnnseg.errors import ConfigError, DataError
from gnnseg.seeding import numpy_rng

__all__ = ["SPLITS", "Given", "LeaveLastOut", "Parts", "Random", "Split", "Temporal"]


@dataclass(frozen=True, slots=True)
class Parts:
    """A dataset divided; no pair is in two parts.

    Attributes:
        train: Models learn from this.
        valid: Hyper-parameters and stopping are chosen on this.
        test: Read once, for the final figures.
        dropped: Held-out interactions left out because their user has none in ``train``.
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    dropped: int = 0


class Split(Component, ABC):
    """Divides the interactions of a dataset."""

    @abstractmethod
    def assign(self, dataset: Dataset) -> IntArray:
        """Part of each interaction, ``[n]``: 0 train, 1 valid, 2 test."""

    def split(self, dataset: Dataset) -> Parts:
        """The three parts.

        Raises:
            DataError: If nothing would be left to train on or to test on.
        """
        part = self.assign(dataset)
        interactions = dataset.interactions
        in_train = np.zeros(dataset.num_users, dtype=bool)
        in_train[interactions.users[part == 0]] = True
        known = in_train[interactions.users]
        train, valid, test = (interactions[(part == p) & known] for p in range(3))
        if not len(train) or not len(test):
            raise DataError(
                f"the split leaves {len(train)} interactions to train on and {len(test)} to test on "
                f"(of {len(interactions)}); use more data or another split"
            )
        return Parts(train, valid, test, dropped=int((~known).sum()))


class Random(Split):
    """A share of each user's interactions at random; every user keeps at least one to train on.

    Users with at least three interactions have at least one in each non-empty part.

    Args:
        valid: Share of each user's interactions for validation.
        test: Share for testing.
        seed: Seed of the division, apart from the seed of training.
    """

    def __init__(
        self, *, valid: Probability = 0.1, test: Probability = 0.1, seed: NonNegativeInt = 0
    ) -> None:
        _check_shares(valid, test)
        self.valid = valid
        self.test = test
        self.seed = seed

    def assign(self, dataset: Dataset) -> IntArray:
        """Part of each interaction, ``[n]``."""
        key = numpy_rng(self.seed, "split").random(len(dataset.interactions))
        position, count = _positions(dataset.interactions.users, key)
        kept = 1 + ((count >= 3) & (self.valid > 0))
        num_test = _held_out(count, self.test, least=2, room=count - kept)
        num_valid = _held_out(count, self.valid, least=3, room=count - 1 - num_test)
        return np.where(position < num_test, 2, np.where(position < num_test + num_valid, 1, 0)).astype(
            np.int64
        )


class Temporal(Split):
    """Global time: the latest interactions are tested on, those before them validated on.

    Args:
        valid: Share of all interactions for validation.
        test: Share of all interactions for testing.
    """

    def __init__(self, *, valid: Probability = 0.1, test: Probability = 0.1) -> None:
        _check_shares(valid, test)
        self.valid = valid
        self.test = test

    def assign(self, dataset: Dataset) -> IntArray:
        """Part of each interaction, ``[n]``; equal times share a part."""
        times = _times(dataset)
        ordered = np.sort(times)
        start_valid = ordered[int(len(times) * (1 - self.valid - self.test))] if self.valid else np.inf
        start_test = ordered[int(len(times) * (1 - self.test))] if self.test else np.inf
        return (times >= min(start_valid, start_test)).astype(np.int64) + (times >= start_test)


class LeaveLastOut(Split):
    """Each user's last interaction is tested on, the one before it validated on.

    Users with fewer than three interactions are trained on only.
    """

    def assign(self, dataset: Dataset) -> IntArray:
        """Part of each interaction, ``[n]``."""
        times = _times(dataset)
        latest_first = np.empty(len(times), dtype=np.int64)
        latest_first[np.lexsort((np.arange(len(times)), times))[::-1]] = np.arange(len(times))
        position, count = _positions(dataset.interactions.users, latest_first)
        return np.where(count < 3, 0, np.maximum(2 - position, 0)).astype(np.int64)


class Given(Split):
    """The source's own test part; validation is carved out of the rest of each user's interactions.

    Args:
        valid: Share of each user's remaining interactions for validation.
        seed: Seed of the carving.
    """

    def __init__(self, *, valid: Probability = 0.1, seed: NonNegativeInt = 0) -> None:
        self.valid = valid
        self.seed = seed

    def assign(self, dataset: Dataset) -> IntArray:
        """Part of each interaction, ``[n]``."""
        if dataset.given_test is None:
            raise DataError(f"'{dataset.name}' brings no test part of its own; use split Random, for example")
        part = np.where(dataset.given_test, 2, 0).astype(np.int64)
        rest = ~dataset.given_test
        key = numpy_rng(self.seed, "split").random(int(rest.sum()))
        position, count = _positions(dataset.interactions.users[rest], key)
        part[rest] = position < _held_out(count, self.valid, least=2, room=count - 1)
        return part


def _check_shares(valid: float, test: float) -> None:
    if valid + test >= 1:
        raise ConfigError(f"'valid' and 'test' must leave something to train on (got {valid} + {test})")


def _positions(users: IntArray, key: np.ndarray) -> tuple[IntArray, IntArray]:
    """For each interaction its place among its user's by ``key``, and how many that user has."""
    order = np.lexsort((key, users))
    count = np.bincount(users, minlength=1)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    position = np.empty(len(users), dtype=np.int64)
    position[order] = np.arange(len(users)) - start[users[order]]
    return position, count[users]


def _held_out(count: IntArray, share: float, least: int, room: IntArray) -> IntArray:
    """The share of ``count`` rounded, at least one from ``least`` on, at most ``room``."""
    if share == 0:
        return np.zeros_like(count)
    wanted = np.maximum(1, np.floor(count * share + 0.5).astype(np.int64))
    return np.where(count < least, 0, np.minimum(wanted, room))


def _times(dataset: Dataset) -> IntArray:
    if dataset.interactions.times is None:
        raise DataError(f"'{dataset.name}' has no times; use split Random, or name the time column")
    return dataset.interactions.times


SPLITS: Kind[Split] = Kind("split", Split, "gnnseg.data.splits")
