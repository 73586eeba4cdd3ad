"""Splits within histories: every user who is tested on has interactions to train on."""

from __future__ import annotations

from typing import Literal

import numpy as np

from gnnseg.components import NonNegativeInt, Probability
from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IntArray
from gnnseg.data.splits.base import Split, check_shares, held_out, positions
from gnnseg.errors import DataError
from gnnseg.seeding import numpy_rng


class Random(Split):
    """A share of each user's interactions at random; every user keeps at least one to train on.

    Users with at least three interactions have at least one in each non-empty part.

    Args:
        valid: Share of each user's interactions for validation.
        test: Share for testing.
        seed: Seed of the division, apart from the seed of training.
        order: In which order rows are drawn for: ``table``, as they stand in the source, or ``ids``, by users
            and items, so that the same rows in another order are divided alike.
    """

    def __init__(
        self,
        *,
        valid: Probability = 0.1,
        test: Probability = 0.1,
        seed: NonNegativeInt = 0,
        order: Literal["table", "ids"] = "table",
    ) -> None:
        check_shares(valid, test)
        self.valid = valid
        self.test = test
        self.seed = seed
        self.order = order

    def assign(self, dataset: Dataset) -> IntArray:
        """Part of each interaction, ``[n]``."""
        key = numpy_rng(self.seed, "split").random(len(dataset.interactions))
        if self.order == "ids":
            key[np.lexsort((dataset.interactions.items, dataset.interactions.users))] = key.copy()
        position, count = positions(dataset.interactions.users, key)
        kept = 1 + ((count >= 3) & (self.valid > 0))
        num_test = held_out(count, self.test, least=2, room=count - kept)
        num_valid = held_out(count, self.valid, least=3, room=count - 1 - num_test)
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
        check_shares(valid, test)
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
        position, count = positions(dataset.interactions.users, latest_first)
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
        """Part of each interaction, ``[n]``.

        Raises:
            DataError: If the dataset brings no test part.
        """
        if dataset.given_test is None:
            raise DataError(f"'{dataset.name}' brings no test part of its own; use split Random, for example")
        part = np.where(dataset.given_test, 2, 0).astype(np.int64)
        rest = ~dataset.given_test
        key = numpy_rng(self.seed, "split").random(int(rest.sum()))
        position, count = positions(dataset.interactions.users[rest], key)
        part[rest] = position < held_out(count, self.valid, least=2, room=count - 1)
        return part


def _times(dataset: Dataset) -> IntArray:
    if dataset.interactions.times is None:
        raise DataError(f"'{dataset.name}' has no times; use split Random, or name the time column")
    return dataset.interactions.times
