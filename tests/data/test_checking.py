from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnseg.data import Dataset, Filters, IdMap, Interactions
from gnnseg.data.checking import activity, examine, histogram, repeated_pairs
from gnnseg.data.sources import Problems


def dataset(pairs: list[tuple[int, int]], ratings: list[float] | None = None, **known: object) -> Dataset:
    users, items = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    weights = None if ratings is None else np.array(ratings)
    ids = [IdMap(range(int(rows.max()) + 1)) for rows in (users, items)]
    return Dataset("d", Interactions(users, items, weights), *ids, **known)  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 300), min_size=1))
def test_histogram(counts: list[int]) -> None:
    found = histogram(np.array(counts))
    assert sum(found.values()) == len(counts)
    for name, height in found.items():
        low, _, high = name.partition("-")
        assert height == sum(int(low) <= count <= int(high or low) for count in counts)
    assert list(found)[:3] == ["1", "2", "3-4"][: len(found)]


def test_activity() -> None:
    assert activity(np.array([1, 5, 2, 9])) == {"min": 1, "median": 3.5, "max": 9}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4)), min_size=1, max_size=40))
def test_repeated_pairs(pairs: list[tuple[int, int]]) -> None:
    assert repeated_pairs(dataset(pairs)) == len(pairs) - len(set(pairs))


def test_examine() -> None:
    pairs = [(0, 0), (0, 0), (0, 1), (1, 0), (1, 1), (2, 2), (0, 2)]
    raw = dataset(pairs, [5, 4, 5, 5, 5, 5, 1], texts=("A", "", "C"))
    found = examine(raw, Filters(min_rating=2, min_user_items=2, min_item_users=2), Problems())
    assert found["repeated_pairs"] == 1
    assert found["items_without_text_read"] == 1
    assert found["users_by_interactions"] == {"1": 1, "2": 1, "3-4": 1}
    assert found["items_by_interactions"] == {"1": 0, "2": 2, "3-4": 1}
    # the rating of 1; one of the repeated pair; user 2 has one item, and item 2 then has no user
    expected = {"min_rating": 1, "duplicates": 1, "min_user_items": 1, "min_item_users": 0}
    assert found["dropped_by_filter"] == expected


@pytest.mark.parametrize("seed", range(5))
def test_what_filters_drop_adds_up(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = list(zip(rng.integers(12, size=60).tolist(), rng.integers(9, size=60).tolist(), strict=True))
    raw = dataset(pairs, rng.integers(1, 6, size=60).tolist())
    filters = Filters(min_rating=2, min_user_items=3, min_item_users=4)
    kept, dropped = filters.sift(raw.interactions)
    assert sum(dropped.values()) == len(pairs) - kept.sum()
