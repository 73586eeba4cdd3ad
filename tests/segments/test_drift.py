import json
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from gnnseg.errors import DataError
from gnnseg.segments.drift import drift


def table(labels: list[int], size: int) -> np.ndarray:
    """Memberships of labels; -1 is outside."""
    return np.eye(size + 1)[labels][:, :size]


def test_by_hand() -> None:
    before, after = table([0, 0, 0, 1, 1, 2, 2], 3), table([1, 1, 0, 0, 0, 2], 3)
    found = drift(before, after, list("abcdefg"), list("bacdex"))
    # a, b and c to 1, 1, 0, d and e to 0; f and g have left, x has joined
    assert (found.users, found.left, found.joined) == (5, 2, 1)
    assert found.counts.tolist() == [[1, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert found.matches == [1, 0, 2]
    assert found.moved == pytest.approx(1 / 5)
    assert found.transitions.tolist() == [[1 / 3, 2 / 3, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]
    assert found.rand == pytest.approx(adjusted_rand_score([0, 0, 0, 1, 1], [1, 1, 0, 0, 0]))
    assert found.mutual_information == pytest.approx(
        normalized_mutual_info_score([0, 0, 0, 1, 1], [1, 1, 0, 0, 0])
    )


def test_users_who_are_outside() -> None:
    found = drift(table([0, 0, -1, -1], 1), table([0, -1, -1, 0], 1), list("abcd"), list("abcd"))
    assert found.counts.tolist() == [[1, 1], [1, 1]]
    assert found.moved == 0.5


@pytest.mark.parametrize("sizes", [(2, 4), (4, 2)])
def test_other_numbers_of_segments(sizes: tuple[int, int]) -> None:
    labels = [[n % size for n in range(12)] for size in sizes]
    found = drift(*(table(*pair) for pair in zip(labels, sizes, strict=True)), *[list("abcdefghijkl")] * 2)
    matched = [match for match in found.matches if match is not None]
    assert len(found.matches) == sizes[0]
    assert len(matched) == len(set(matched)) == 2
    assert found.moved == 0.5


runs = st.integers(1, 20).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(-1, 2), min_size=n, max_size=n) for _ in range(2)))
)


@settings(max_examples=60, deadline=None)
@given(runs)
def test_the_best_of_all_matchings(drawn: tuple[list[int], list[int]]) -> None:
    ids = [str(n) for n in range(len(drawn[0]))]
    found = drift(table(drawn[0], 3), table(drawn[1], 3), ids, ids)
    stayed = max(
        sum(order[a] == b if a >= 0 else b < 0 for a, b in zip(*drawn, strict=True))
        for order in permutations(range(3))
    )
    assert found.moved == pytest.approx(1 - stayed / len(ids))
    assert found.counts.sum() == len(ids)
    sums = found.transitions.sum(1)
    np.testing.assert_allclose(sums, found.counts.sum(1) > 0)
    json.dumps(found.as_dict(), allow_nan=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=20), st.permutations(range(3)), st.randoms())
def test_new_numbers_and_another_order_are_no_drift(
    labels: list[int], names: list[int], random: object
) -> None:
    ids = [str(n) for n in range(len(labels))]
    order = list(range(len(labels)))
    random.shuffle(order)  # type: ignore[attr-defined]
    renamed = table([names[labels[row]] for row in order], 3)
    found = drift(table(labels, 3), renamed, ids, [ids[row] for row in order])
    assert (found.moved, found.left, found.joined) == (0, 0, 0)
    assert found.rand == pytest.approx(1)
    assert all(found.matches[label] == names[label] for label in set(labels))


def test_memberships_are_read_by_their_strongest() -> None:
    soft = np.array([[0.6, 0.4], [0.3, 0.7]])
    found = drift(soft, table([0, 1], 2), ["a", "b"], ["a", "b"])
    assert found.counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_bad_input() -> None:
    one = table([0], 1)
    with pytest.raises(DataError, match=r"no user in common \(1 users there, 1 here\)"):
        drift(one, one, ["a"], ["b"])
    with pytest.raises(DataError, match=r"memberships must be \[2, S\], a row an id \(got \[1, 1\]\)"):
        drift(one, one, ["a", "b"], ["b"])
    with pytest.raises(DataError, match=r"user ids must be unique \(got 1 repeated\)"):
        drift(table([0, 0], 1), one, ["a", "a"], ["a"])
