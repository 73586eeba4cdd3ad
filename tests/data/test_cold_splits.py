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


def test_messages() -> None:
    with pytest.raises(DataError) as caught:
        ColdUsers(share=0.0, valid=0.0, warm=0.0).split(make([(0, 0), (0, 1)]))
    assert str(caught.value) == (
        "the split leaves 2 interactions to train on and 0 to test on (of 2); use more data or another split"
    )
    nothing = Interactions(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    with pytest.raises(DataError) as caught:
        Parts(nothing, nothing, nothing).histories(1)
    assert str(caught.value) == "the split keeps no users apart; use ColdUsers"
    with pytest.raises(ConfigError) as error:
        ColdUsers(histories=[3, -1])
    assert str(error.value) == "'histories' must be lengths of at least 0 (got [3, -1])"


@pytest.mark.parametrize("kind", [ColdItems, ColdUsers])
@pytest.mark.parametrize(
    ("warm", "expected"),
    [
        # halves are rounded up; whoever has fewer than three is trained on only, and one is always kept
        (0.3, [(1, 0, 0), (2, 0, 0), (1, 1, 1), (2, 1, 1), (1, 2, 2), (2, 2, 2), (3, 2, 2)]),
        (0.49, [(1, 0, 0), (2, 0, 0), (1, 1, 1), (1, 1, 2), (1, 2, 2), (1, 2, 3), (1, 3, 3)]),
        (0.0, [(n, 0, 0) for n in range(1, 8)]),
    ],
)
def test_warm_shares_by_hand(
    kind: type[ColdItems | ColdUsers], warm: float, expected: list[tuple[int, int, int]]
) -> None:
    dataset = make([(user, item) for user in range(7) for item in range(user + 1)])
    part = kind(share=0.0, valid=0.0, warm=warm).assign(dataset)
    users = dataset.interactions.users
    assert [tuple(np.bincount(part[users == user], minlength=3).tolist()) for user in range(7)] == expected
    assert part.dtype == np.int64


def test_what_is_given_is_the_first_of_a_random_order() -> None:
    """Up to the longest history or half of the user's items; the rest is to be found."""
    dataset = make([(user, item) for user in range(9) for item in range(user + 1)])
    for longest, expected in ((2, [0, 1, 1, 2, 2, 2, 2, 2, 2]), (10, [0, 1, 1, 2, 2, 3, 3, 4, 4])):
        split = ColdUsers(share=0.5, valid=0.4, histories=[longest, 0], warm=0.0)
        part, users = split.assign(dataset), dataset.interactions.users
        cold = [user for user in range(9) if (part[users == user] > 0).any()]
        assert len(cold) == round(9 * 0.5) + round(9 * 0.4)
        assert [(part[users == user] == 3).sum() for user in cold] == [expected[user] for user in cold]
        assert all((part[users == user] > 0).all() for user in cold)


def test_histories_are_sorted_and_told_once() -> None:
    assert ColdUsers(histories=[3, 0, 3, 1]).histories == (0, 1, 3)
    assert ColdUsers().histories == (0, 1, 3, 5, 10)


@pytest.mark.parametrize("kind", [ColdItems, ColdUsers])
def test_defaults(kind: type[ColdItems | ColdUsers]) -> None:
    split = kind()
    assert (split.share, split.valid, split.warm, split.seed) == (0.2, 0.1, 0.1, 0)


@pytest.mark.parametrize("kind", [ColdItems, ColdUsers])
@pytest.mark.parametrize("shares", [{"share": 0.9, "valid": 0.1}, {"warm": 0.5}])
def test_shares_must_leave_something(kind: type[ColdItems | ColdUsers], shares: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must leave something to train on"):
        kind(**shares)
    kind(**{name: value - 0.01 for name, value in shares.items()})


def test_given_interactions_keep_the_order_in_which_they_become_known() -> None:
    parts = ColdUsers(share=0.3, valid=0.1).split(dense())
    assert parts.given is not None
    assert (np.diff(parts.given.users) >= 0).all()
    starts = np.flatnonzero(np.diff(parts.given.users, prepend=-1))
    own = [parts.given.items[start : start + 7].tolist() for start in starts]
    assert any(items != sorted(items) for items in own)


def test_splits_are_the_same_in_every_release() -> None:
    """Published figures belong to one division; these were written down when it was settled."""
    dataset = make([(user, item) for user in range(4) for item in range(5)])
    assert ColdItems(share=0.3, valid=0.2, warm=0.3).assign(dataset).tolist() == [
        2,
        2,
        1,
        0,
        0,
        2,
        2,
        1,
        0,
        0,
        2,
        2,
        1,
        0,
        0,
        2,
        2,
        1,
        0,
        0,
    ]
    assert ColdUsers(share=0.3, valid=0.3, histories=[2], warm=0.2).assign(dataset).tolist() == [
        1,
        1,
        3,
        1,
        3,
        3,
        2,
        2,
        2,
        3,
        0,
        0,
        0,
        1,
        2,
        0,
        1,
        2,
        0,
        0,
    ]
    given = ColdUsers(share=0.3, valid=0.3, histories=[2], warm=0.2).split(dataset).given
    assert given is not None
    assert list(zip(given.users.tolist(), given.items.tolist(), strict=True)) == [
        (0, 4),
        (0, 2),
        (1, 0),
        (1, 4),
    ]
