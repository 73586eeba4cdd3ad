from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gnnseg.data.dataset import Dataset
from gnnseg.data.interactions import Interactions
from gnnseg.data.splits import Given, LeaveLastOut, Parts, Random, Split, Temporal
from gnnseg.data.splits.base import first, held_out, positions
from gnnseg.errors import ConfigError, DataError
from tests.data.strategies import datasets, make

shares = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3])
splits = st.one_of(
    st.builds(Random, valid=shares, test=shares, seed=st.integers(0, 3)),
    st.builds(Temporal, valid=shares, test=shares),
    st.builds(Given, valid=shares, seed=st.integers(0, 3)),
    st.just(LeaveLastOut()),
)
properties = settings(deadline=None, max_examples=50)


def pairs(interactions: Interactions) -> Counter[tuple[int, int]]:
    return Counter(zip(interactions.users.tolist(), interactions.items.tolist(), strict=True))


def divide(split: Split, dataset: Dataset) -> Parts:
    """The parts, if there is enough to divide."""
    try:
        return split.split(dataset)
    except DataError as error:
        assume("the split leaves" not in str(error))
        raise


@properties
@given(st.builds(Random, valid=shares, test=shares, order=st.just("ids")), st.integers(0, 9))
def test_random_by_ids_does_not_know_the_order_of_rows(split: Random, seed: int) -> None:
    """The same pairs shuffled: each is in the same part; by the table's order it need not be."""
    rng = np.random.default_rng(seed)
    rows = [(user, item) for user in range(4) for item in range(6) if rng.random() < 0.8]
    shuffled = [rows[place] for place in rng.permutation(len(rows))]
    dataset, other = make(rows), make(shuffled)
    assume(len(dataset.interactions) == len(rows))
    found, again = (
        dict(zip(zip(d.interactions.users, d.interactions.items, strict=True), split.assign(d), strict=True))
        for d in (dataset, other)
    )
    assert found == again


def test_random_is_drawn_as_rows_stand_unless_it_is_said() -> None:
    """Pairs in the order of their ids are divided alike by both; others are not."""
    rows = [(user, item) for user in range(5) for item in range(100)]
    for given_rows, alike in ((rows, True), (rows[::-1], False)):
        by_table, by_ids = (Random(order=order).assign(make(given_rows)) for order in ("table", "ids"))
        assert np.array_equal(by_table, by_ids) == alike


@properties
@given(splits, datasets())
def test_parts_are_disjoint_and_cover(split: Split, dataset: Dataset) -> None:
    parts = divide(split, dataset)
    train, valid, test = pairs(parts.train), pairs(parts.valid), pairs(parts.test)
    assert not train & valid
    assert not train & test
    assert not valid & test
    together = train + valid + test
    everything = pairs(dataset.interactions)
    assert together <= everything
    assert (everything - together).total() == parts.dropped


@properties
@given(splits, datasets())
def test_nobody_is_tested_on_who_has_nothing_to_train_on(split: Split, dataset: Dataset) -> None:
    parts = divide(split, dataset)
    trained = set(parts.train.users.tolist())
    assert set(parts.valid.users.tolist()) | set(parts.test.users.tolist()) <= trained


@properties
@given(splits, datasets())
def test_assignment_repeats(split: Split, dataset: Dataset) -> None:
    parts = split.assign(dataset)
    assert parts.dtype == np.int64
    assert parts.shape == dataset.interactions.users.shape
    assert np.array_equal(split.assign(dataset), parts)


def check_random(dataset: Dataset, valid: float, test: float) -> None:
    part = Random(valid=valid, test=test).assign(dataset)
    for user in range(dataset.num_users):
        counts = np.bincount(part[dataset.interactions.users == user], minlength=3)
        assert counts[0] >= 1
        if counts.sum() >= 3:
            assert (counts[1] > 0) == (valid > 0)
            assert (counts[2] > 0) == (test > 0)


@properties
@given(datasets(), shares, shares)
def test_random_leaves_every_user_something_to_train_on(dataset: Dataset, valid: float, test: float) -> None:
    check_random(dataset, valid, test)


@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.4), (0.0, 0.9), (0.9, 0.0), (0.45, 0.45)])
def test_random_leaves_something_to_train_on_with_large_shares(valid: float, test: float) -> None:
    pairs = [(user, item) for user in range(1, 13) for item in range(user)]
    check_random(make(pairs), valid, test)


def test_random_shares_and_seed() -> None:
    dataset = make([(user, item) for user in range(5) for item in range(100)])
    assert np.bincount(Random(valid=0.1, test=0.2).assign(dataset)).tolist() == [350, 50, 100]
    other = Random(valid=0.1, test=0.2, seed=1).assign(dataset)
    assert not np.array_equal(other, Random(valid=0.1, test=0.2).assign(dataset))


@properties
@given(datasets(), shares, shares)
def test_temporal_never_trains_on_later_than_it_tests(dataset: Dataset, valid: float, test: float) -> None:
    part = Temporal(valid=valid, test=test).assign(dataset)
    times = dataset.interactions.times
    for earlier, later in ((0, 1), (0, 2), (1, 2)):
        if (part == earlier).any() and (part == later).any():
            assert times[part == earlier].max() < times[part == later].min()
    assert valid or not (part == 1).any()
    assert test or not (part == 2).any()


def test_temporal_shares() -> None:
    dataset = make([(0, item) for item in range(100)], times=list(range(100)))
    assert np.bincount(Temporal(valid=0.1, test=0.2).assign(dataset)).tolist() == [70, 10, 20]


@properties
@given(datasets())
def test_leave_last_out(dataset: Dataset) -> None:
    part = LeaveLastOut().assign(dataset)
    for user in range(dataset.num_users):
        own = dataset.interactions.users == user
        counts = np.bincount(part[own], minlength=3)
        if own.sum() < 3:
            assert counts[1:].sum() == 0
        else:
            assert counts[1:].tolist() == [1, 1]
            times = [dataset.interactions.times[own & (part == p)] for p in range(3)]
            assert times[0].max() <= times[1].min()
            assert times[1].max() <= times[2].min()


@properties
@given(datasets(), shares)
def test_given_keeps_the_test_part(dataset: Dataset, valid: float) -> None:
    part = Given(valid=valid).assign(dataset)
    assert np.array_equal(part == 2, dataset.given_test)
    for user in range(dataset.num_users):
        rest = part[(dataset.interactions.users == user) & ~dataset.given_test]
        assert not len(rest) or (rest == 0).any()


@pytest.mark.parametrize(
    ("split", "says"),
    [(Given(), "no test part of its own"), (Temporal(), "has no times"), (LeaveLastOut(), "has no times")],
)
def test_what_a_split_needs(split: Split, says: str) -> None:
    with pytest.raises(DataError, match=says):
        split.split(make([(0, 0), (0, 1), (0, 2)]))


@pytest.mark.parametrize("split", [Random(), Temporal(), LeaveLastOut(), Given()])
def test_one_interaction_cannot_be_divided(split: Split) -> None:
    with pytest.raises(
        DataError, match=r"the split leaves . interactions to train on and . to test on \(of 1\)"
    ):
        split.split(make([(0, 0)], times=[1], given_test=[False]))


@pytest.mark.parametrize("kind", [Random, Temporal])
@pytest.mark.parametrize(("valid", "test"), [(0.5, 0.5), (1.0, 0.0), (-0.1, 0.1)])
def test_shares_out_of_range(kind: type[Random], valid: float, test: float) -> None:
    with pytest.raises(ConfigError):
        kind(valid=valid, test=test)


def triangle(users: int = 10) -> Dataset:
    """User ``n`` has ``n + 1`` interactions."""
    return make([(user, item) for user in range(users) for item in range(user + 1)])


def sizes(dataset: Dataset, part: np.ndarray) -> list[list[int]]:
    """How many of each user's interactions are in each part."""
    users = dataset.interactions.users
    return [np.bincount(part[users == user], minlength=3).tolist() for user in range(dataset.num_users)]


@pytest.mark.parametrize(
    ("valid", "test", "expected"),
    [
        # halves are rounded up; somebody with three has one in each part, and one is always kept
        (0.3, 0.3, [(1, 0, 0), (1, 0, 1), (1, 1, 1), (2, 1, 1), (1, 2, 2), (2, 2, 2), (3, 2, 2)]),
        (0.45, 0.45, [(1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 2), (1, 2, 2), (1, 2, 3), (1, 3, 3)]),
        (0.0, 0.9, [(1, 0, 0), (1, 0, 1), (1, 0, 2), (1, 0, 3), (1, 0, 4), (1, 0, 5), (1, 0, 6)]),
        (0.9, 0.0, [(1, 0, 0), (2, 0, 0), (1, 2, 0), (1, 3, 0), (1, 4, 0), (1, 5, 0), (1, 6, 0)]),
        (0.1, 0.8, [(1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 1, 4), (1, 1, 5)]),
    ],
)
def test_random_by_hand(valid: float, test: float, expected: list[tuple[int, int, int]]) -> None:
    dataset = triangle(7)
    found = sizes(dataset, Random(valid=valid, test=test).assign(dataset))
    assert [tuple(own) for own in found] == expected


def test_given_by_hand() -> None:
    dataset = make(
        [(user, item) for user in range(6) for item in range(user + 1)],
        given_test=[item == 0 for user in range(6) for item in range(user + 1)],
    )
    found = sizes(dataset, Given(valid=0.5).assign(dataset))
    assert found == [[0, 0, 1], [1, 0, 1], [1, 1, 1], [1, 2, 1], [2, 2, 1], [2, 3, 1]]
    assert not (Given(valid=0.0).assign(dataset) == 1).any()
    found = sizes(dataset, Given(valid=0.95).assign(dataset))
    assert found == [[0, 0, 1], [1, 0, 1], [1, 1, 1], [1, 2, 1], [1, 3, 1], [1, 4, 1]]


def test_leave_last_out_by_hand() -> None:
    """Of equal times, the later row is the later interaction."""
    pairs = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    dataset = make(pairs, times=[3, 9, 9, 1, 5, 6, 30, 20, 10])
    assert LeaveLastOut().assign(dataset).tolist() == [0, 1, 2, 0, 0, 0, 2, 1, 0]


@pytest.mark.parametrize(
    ("valid", "test", "expected"),
    [
        (0.2, 0.3, [0, 0, 0, 0, 0, 1, 1, 2, 2, 2]),
        (0.0, 0.3, [0, 0, 0, 0, 0, 0, 0, 2, 2, 2]),
        (0.2, 0.0, [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
        (0.0, 0.0, [0] * 10),
    ],
)
def test_temporal_by_hand(valid: float, test: float, expected: list[int]) -> None:
    order = np.random.default_rng(0).permutation(10)
    dataset = make([(0, item) for item in range(10)], times=(100 + order).tolist())
    found = Temporal(valid=valid, test=test).assign(dataset)
    assert found[np.argsort(order)].tolist() == expected


def test_equal_times_share_a_part() -> None:
    dataset = make([(0, item) for item in range(10)], times=[1, 2, 3, 4, 4, 4, 5, 6, 6, 6])
    found = Temporal(valid=0.3, test=0.2).assign(dataset)
    assert found.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]


def test_defaults_hold_out_a_tenth_each() -> None:
    dataset = make(
        [(0, item) for item in range(100)], times=list(range(100)), given_test=[False] * 99 + [True]
    )
    for split in (Random(), Temporal()):
        assert np.bincount(split.assign(dataset)).tolist() == [80, 10, 10]
    assert np.bincount(Given().assign(dataset)).tolist() == [89, 10, 1]


def test_splits_are_the_same_in_every_release() -> None:
    """Published figures belong to one division; these were written down when it was settled."""
    dataset = make(
        [(user, item) for user in range(3) for item in range(5)], given_test=([False] * 4 + [True]) * 3
    )
    assert Random(valid=0.2, test=0.2).assign(dataset).tolist() == [
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
        1,
        2,
        0,
        0,
        0,
    ]
    assert Random(valid=0.2, test=0.2, seed=7).assign(dataset).tolist() == [
        0,
        2,
        1,
        0,
        0,
        0,
        2,
        0,
        0,
        1,
        0,
        1,
        0,
        2,
        0,
    ]
    assert Given(valid=0.25).assign(dataset).tolist() == [0, 0, 0, 1, 2, 1, 0, 0, 0, 2, 0, 0, 0, 1, 2]
    assert np.array_equal(Random().assign(dataset), Random(seed=0).assign(dataset))
    assert np.array_equal(Given().assign(dataset), Given(seed=0).assign(dataset))


def test_positions_by_hand() -> None:
    users, key = np.array([2, 0, 2, 2, 0, 5]), np.array([3.0, 1.0, 1.0, 2.0, 0.0, 9.0])
    position, count = positions(users, key)
    assert position.tolist() == [2, 1, 0, 1, 0, 0]
    assert count.tolist() == [3, 2, 3, 3, 2, 1]
    assert position.dtype == np.int64
    assert [part.tolist() for part in positions(users[:0], key[:0])] == [[], []]


def test_held_out_by_hand() -> None:
    count = np.array([1, 2, 3, 4, 5, 10])
    room = count - 1
    assert held_out(count, 0.25, least=2, room=room).tolist() == [0, 1, 1, 1, 1, 3]
    assert held_out(count, 0.25, least=5, room=room).tolist() == [0, 0, 0, 0, 1, 3]
    assert held_out(count, 0.99, least=1, room=room).tolist() == room.tolist()
    assert held_out(count, 0.0, least=1, room=room).tolist() == [0] * 6
    assert held_out(count, 0.5, least=1, room=np.full(6, 2)).dtype == np.int64


def test_first_of_each_user_in_order() -> None:
    users, items = np.array([0, 0, 0, 1, 4, 4]), np.arange(6)
    found = first(Interactions(users, items), 2)
    assert found.users.tolist() == [0, 0, 1, 4, 4]
    assert found.items.tolist() == [0, 1, 3, 4, 5]
    assert first(Interactions(users[:3] + 1, items[:3]), 1).items.tolist() == [0]


def test_held_out_pairs_of_users_without_training_are_dropped() -> None:
    """Both of user 1's are held out; one of user 0's is trained on."""
    dataset = make([(0, 0), (0, 1), (1, 0), (1, 1)], given_test=[False, True, True, True])
    parts = Given(valid=0.0).split(dataset)
    assert parts.dropped == 2
    assert parts.given is None
    assert [pairs(part).total() for part in (parts.train, parts.valid, parts.test)] == [1, 0, 1]


def test_messages_of_splits() -> None:
    with pytest.raises(DataError) as caught:
        Given().split(make([(0, 0)], given_test=[True]))
    assert str(caught.value) == (
        "the split leaves 0 interactions to train on and 0 to test on (of 1); use more data or another split"
    )
    with pytest.raises(DataError) as caught:
        Given().split(make([(0, 0)]))
    assert str(caught.value) == "'made' brings no test part of its own; use split Random, for example"
    with pytest.raises(DataError) as caught:
        LeaveLastOut().split(make([(0, 0)]))
    assert str(caught.value) == "'made' has no times; use split Random, or name the time column"
    with pytest.raises(ConfigError) as error:
        Random(valid=0.5, test=0.6)
    assert str(error.value) == "'valid' and 'test' must leave something to train on (got 0.5 + 0.6)"
