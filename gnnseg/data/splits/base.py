"""What every split has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from gnnseg.components import Component
from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IntArray
from gnnseg.data.interactions import Interactions
from gnnseg.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Parts:
    """A dataset divided; no pair is in two parts.

    Attributes:
        train: Models learn from this.
        valid: Hyper-parameters and stopping are chosen on this.
        test: Read once, for the final figures.
        dropped: Held-out interactions left out because their user has none in ``train``.
        given: Histories of users who are not in ``train``, each user's in the order in which they become
            known; None where everybody is.
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    dropped: int = 0
    given: Interactions | None = None

    def histories(self, length: int) -> Interactions:
        """The first ``length`` interactions that are given of each user who is not in ``train``.

        Raises:
            DataError: If every user is.
        """
        if self.given is None:
            raise DataError("the split keeps no users apart; use ColdUsers")
        return first(self.given, length)


def first(interactions: Interactions, length: int) -> Interactions:
    """The first ``length`` interactions of each user, which stand together."""
    users = interactions.users
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    counts = np.diff(np.append(starts, len(users)))
    place = np.arange(len(users)) - np.repeat(starts, counts)
    return interactions[place < length]


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


def check_shares(valid: float, test: float) -> None:
    """Refuse shares that leave nothing to train on.

    Raises:
        ConfigError: If they do.
    """
    if valid + test >= 1:
        raise ConfigError(f"'valid' and 'test' must leave something to train on (got {valid} + {test})")


def positions(users: IntArray, key: np.ndarray) -> tuple[IntArray, IntArray]:
    """For each interaction its place among its user's by ``key``, and how many that user has; all ``[n]``."""
    order = np.lexsort((key, users))
    count = np.bincount(users, minlength=1)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    position = np.empty(len(users), dtype=np.int64)
    position[order] = np.arange(len(users)) - start[users[order]]
    return position, count[users]


def held_out(count: IntArray, share: float, least: int, room: IntArray) -> IntArray:
    """The share of ``count`` rounded, at least one from ``least`` on, at most ``room``; both ``[n]``."""
    if share == 0:
        return np.zeros_like(count)
    wanted = np.maximum(1, np.floor(count * share + 0.5).astype(np.int64))
    return np.where(count < least, 0, np.minimum(wanted, room))
