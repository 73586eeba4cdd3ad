"""Splits that keep whole items or whole users out of training, for cold start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnnseg.components import NonNegativeInt, Probability
from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IntArray
from gnnseg.data.splits.base import Parts, Split, check_shares, held_out, positions
from gnnseg.errors import ConfigError, DataError
from gnnseg.seeding import numpy_rng


class ColdItems(Split):
    """Some items have no training interaction at all; their text and tags are known like any other's.

    Cold items of validation and of test are different ones, so that nothing is chosen on those tested on.
    A share of each user's other interactions is held out as well, to measure warm items beside them.

    Args:
        share: Share of the items that appear in testing only.
        valid: Share of the items that appear in validation only.
        warm: Share of each user's interactions with the other items for testing, and as much for validation.
        seed: Seed of the division, apart from the seed of training.
    """

    def __init__(
        self,
        *,
        share: Probability = 0.2,
        valid: Probability = 0.1,
        warm: Probability = 0.1,
        seed: NonNegativeInt = 0,
    ) -> None:
        check_shares(valid, share)
        check_shares(warm, warm)
        self.share = share
        self.valid = valid
        self.warm = warm
        self.seed = seed

    def assign(self, dataset: Dataset) -> IntArray:
        """Part of each interaction, ``[n]``."""
        kind = _draw(dataset.num_items, self.share, self.valid, self.seed)
        part = kind[dataset.interactions.items]
        _hold_out_warm(dataset, part, self.warm, self.seed)
        return part


class ColdUsers(Split):
    """Some users appear in testing only, known by a few items, or by none and the users' table.

    A cold user's items are put in random order. The first are the history, up to the longest length or half
    of the user's items; the rest is to be found, whatever part of the history is given, so that lengths
    can be compared. A share of the other users' interactions is held out as well.

    Args:
        share: Share of the users that appear in testing only.
        valid: Share of the users that appear in validation only.
        histories: Lengths of the histories to measure with.
        warm: Share of each other user's interactions for testing, and as much for validation.
        seed: Seed of the division, apart from the seed of training.

    Raises:
        ConfigError: If a length is negative, or there is none.
    """

    def __init__(
        self,
        *,
        share: Probability = 0.2,
        valid: Probability = 0.1,
        histories: Sequence[int] = (0, 1, 3, 5, 10),
        warm: Probability = 0.1,
        seed: NonNegativeInt = 0,
    ) -> None:
        check_shares(valid, share)
        check_shares(warm, warm)
        if not histories or min(histories) < 0:
            raise ConfigError(f"'histories' must be lengths of at least 0 (got {list(histories)})")
        self.share = share
        self.valid = valid
        self.histories = tuple(sorted(set(histories)))
        self.warm = warm
        self.seed = seed

    def assign(self, dataset: Dataset) -> IntArray:
        """Part of each interaction, ``[n]``; 3 is what is given of a cold user."""
        users = dataset.interactions.users
        part = _draw(dataset.num_users, self.share, self.valid, self.seed)[users]
        position, count = positions(users, self._order(dataset))
        given = (part > 0) & (position < np.minimum(self.histories[-1], count // 2))
        _hold_out_warm(dataset, part, self.warm, self.seed)
        return np.where(given, 3, part)

    def split(self, dataset: Dataset) -> Parts:
        """The three parts, and the histories of cold users.

        Raises:
            DataError: If nothing would be left to train on or to test on.
        """
        part = self.assign(dataset)
        order = np.lexsort((self._order(dataset), dataset.interactions.users))
        train, valid, test = (dataset.interactions[part == p] for p in range(3))
        if not len(train) or not len(test):
            raise DataError(
                f"the split leaves {len(train)} interactions to train on and {len(test)} to test on "
                f"(of {len(part)}); use more data or another split"
            )
        return Parts(train, valid, test, given=dataset.interactions[order[part[order] == 3]])

    def _order(self, dataset: Dataset) -> np.ndarray:
        """When each interaction becomes known, ``[n]``."""
        return numpy_rng(self.seed, "histories").random(len(dataset.interactions))


def _draw(count: int, test: float, valid: float, seed: int) -> IntArray:
    """0, 1 or 2 for each of ``count`` items or users: kept, in validation only, in testing only."""
    drawn = np.zeros(count, dtype=np.int64)
    order = numpy_rng(seed, "cold").permutation(count)
    num_test, num_valid = round(count * test), round(count * valid)
    drawn[order[:num_test]] = 2
    drawn[order[num_test : num_test + num_valid]] = 1
    return drawn


def _hold_out_warm(dataset: Dataset, part: IntArray, share: float, seed: int) -> None:
    """Move a share of each user's training interactions to test and as much to validation, in place.

    Users keep at least one to train on.
    """
    warm = part == 0
    users = dataset.interactions.users[warm]
    position, count = positions(users, numpy_rng(seed, "split").random(len(users)))
    num_test = held_out(count, share, least=3, room=count - 1)
    num_valid = held_out(count, share, least=3, room=count - 1 - num_test)
    part[warm] = np.where(position < num_test, 2, np.where(position < num_test + num_valid, 1, 0))
