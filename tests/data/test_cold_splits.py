import numpy as np
import pytest

from gnnseg.data import Dataset, Interactions, Parts
from gnnseg.data.splits import SPLITS, ColdItems, ColdUsers
from gnnseg.errors import ConfigError, DataError
from tests.data.strategies import make


def dense(users: int = 40, items: int = 30) -> Dataset:
    rng = np.random.default_rng(0)
    return make([(u, int(i)) for u in range(users) for i in rng.choice(items, 14, replace=False)])


def test_cold_items_have_no_training_interaction_and_are_apart() -> None:
    dataset = dense()
    parts = ColdItems(share=0.2, valid=0.1).split(dataset)
    train = set(parts.train.items.tolist())
    tested, validated = (set(part.items.tolist()) - train for part in (parts.test, parts.valid))
    assert (len(tested), len(validated)) == (6, 3)
    assert not tested & validated
    assert set(parts.test.items.tolist()) & train  # warm ones are tested as well
    assert len(parts.train) + len(parts.valid) + len(parts.test) == len(dataset.interactions)


def test_without_warm_shares_only_cold_items_are_tested() -> None:
    parts = ColdItems(warm=0.0).split(dense())
    assert not set(parts.test.items.tolist()) & set(parts.train.items.tolist())


def test_cold_users_are_known_by_what_is_given_alone() -> None:
    dataset = dense()
    parts = ColdUsers(share=0.2, valid=0.1, histories=[0, 1, 3]).split(dataset)
    assert parts.given is not None
    train = set(parts.train.users.tolist())
    tested, validated = (set(part.users.tolist()) - train for part in (parts.test, parts.valid))
    assert (len(tested), len(validated)) == (8, 4)
    assert not tested & validated
    assert set(parts.given.users.tolist()) == tested | validated
    assert np.bincount(parts.given.users)[list(tested)].tolist() == [3] * 8
    given = set(zip(parts.given.users.tolist(), parts.given.items.tolist(), strict=True))
    for part in (parts.test, parts.valid, parts.train):
        assert not given & set(zip(part.users.tolist(), part.items.tolist(), strict=True))


def test_targets_leave_half_to_find() -> None:
    dataset = make([(u, i) for u in range(20) for i in range(5)])
    parts = ColdUsers(histories=[10]).split(dataset)
    assert parts.given is not None
    assert set(np.bincount(parts.given.users).tolist()) <= {0, 2}


@pytest.mark.parametrize("split", [ColdItems(seed=3), ColdUsers(seed=3)])
def test_assignment_repeats_and_follows_the_seed(split: ColdItems | ColdUsers) -> None:
    dataset = dense()
    assert np.array_equal(split.assign(dataset), split.assign(dataset))
    assert not np.array_equal(split.assign(dataset), type(split)().assign(dataset))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ColdUsers", {"histories": []}, "'histories' must be lengths of at least 0"),
        ("ColdUsers", {"histories": [-1]}, "'histories' must be lengths of at least 0"),
        ("ColdItems", {"share": 0.6, "valid": 0.5}, "must leave something to train on"),
    ],
)
def test_what_is_refused(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SPLITS.create({"name": name, **settings})


def test_nobody_to_test_on() -> None:
    with pytest.raises(DataError, match="the split leaves"):
        ColdUsers(share=0.0, valid=0.0, warm=0.0).split(dense())


def test_histories_are_the_first_that_are_given_of_each_user() -> None:
    users, items = np.array([2, 2, 2, 5, 7, 7]), np.array([9, 1, 4, 0, 3, 2])
    nothing = Interactions(users[:0], items[:0])
    parts = Parts(nothing, nothing, nothing, given=Interactions(users, items))
    found = parts.histories(2)
    assert list(zip(found.users, found.items, strict=True)) == [(2, 9), (2, 1), (5, 0), (7, 3), (7, 2)]
    assert not len(parts.histories(0))
    assert not len(Parts(nothing, nothing, nothing, given=nothing).histories(3))
    with pytest.raises(DataError, match="keeps no users apart; use ColdUsers"):
        Parts(nothing, nothing, nothing).histories(1)
