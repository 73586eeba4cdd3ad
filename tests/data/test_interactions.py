import numpy as np
import pytest
from hypothesis import given, settings

from gnnseg.data.dataset import Dataset
from gnnseg.data.interactions import Interactions
from gnnseg.errors import DataError
from tests.data.strategies import datasets


def columns(*values: list[int]) -> Interactions:
    users, items, *rest = (np.array(column, dtype=np.int64) for column in values)
    return Interactions(users, items, *(column.astype(np.float64) for column in rest))


def test_columns_of_different_length() -> None:
    with pytest.raises(DataError, match=r"must have one length \(got \[1, 2\]\)"):
        columns([0, 1], [0])


def test_index_by_mask_and_positions() -> None:
    three = columns([0, 1, 2], [3, 4, 5], [6, 7, 8])
    for index in (np.array([True, False, True]), np.array([0, 2])):
        two = three[index]
        assert two.users.tolist() == [0, 2]
        assert two.items.tolist() == [3, 5]
        assert two.weights.tolist() == [6, 8]
        assert two.times is None


def test_sum_keeps_what_both_have() -> None:
    both = columns([0], [1], [2]) + columns([3], [4])
    assert both.users.tolist() == [0, 3]
    assert both.items.tolist() == [1, 4]
    assert both.weights is None
    assert (columns([0], [1], [2]) + columns([3], [4], [5])).weights.tolist() == [2, 5]


@settings(deadline=None, max_examples=50)
@given(datasets(unique=False))
def test_matrix_is_binary_and_holds_every_pair(dataset: Dataset) -> None:
    interactions = dataset.interactions
    matrix = interactions.matrix(dataset.num_users, dataset.num_items)
    expected = np.zeros((dataset.num_users, dataset.num_items))
    expected[interactions.users, interactions.items] = 1
    assert matrix.dtype == np.float32
    assert matrix.has_sorted_indices
    assert np.array_equal(matrix.toarray(), expected)
    assert matrix.nnz == expected.sum()
