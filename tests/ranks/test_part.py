from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnseg.ranks import divide


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.integers(1, 9))
def test_ranges_cover_all_users_and_differ_by_little_more_than_one_user(counts: list[int], size: int) -> None:
    indptr = np.concatenate([[0], np.cumsum(counts)])
    bounds = divide(indptr, size)
    assert bounds[0] == 0
    assert bounds[-1] == len(counts)
    assert len(bounds) == size + 1
    assert bounds == sorted(bounds)
    edges = np.diff(indptr[bounds])
    assert edges.max() <= sum(counts) / size + max(counts)


@pytest.mark.parametrize(
    ("counts", "size", "bounds"),
    [
        ([1, 1, 1, 1], 2, [0, 2, 4]),
        ([4, 1, 1, 2], 2, [0, 1, 4]),
        ([30, 1, 1], 3, [0, 1, 1, 3]),
        ([1, 1], 4, [0, 1, 1, 2, 2]),
    ],
)
def test_by_edges_not_by_users(counts: list[int], size: int, bounds: list[int]) -> None:
    found = divide(np.concatenate([[0], np.cumsum(counts)]), size)
    edges = [sum(counts[a:b]) for a, b in pairwise(found)]
    expected = [sum(counts[a:b]) for a, b in pairwise(bounds)]
    assert sorted(edges) == sorted(expected)
