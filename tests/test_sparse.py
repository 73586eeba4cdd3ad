"""The largest entries of each row, dense and sparse, against a loop."""

import numpy as np
import pytest
import scipy.sparse as sp

from gnnseg.sparse import largest

VALUES = np.random.default_rng(0).normal(size=(7, 9)) * (np.random.default_rng(1).random((7, 9)) < 0.6)


@pytest.mark.parametrize("count", [1, 4, 20])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_the_largest_of_each_row(form: type, count: int) -> None:
    expected = np.zeros_like(VALUES)
    for row, values in enumerate(VALUES):
        kept = np.argsort(-np.abs(values))[:count]
        expected[row, kept] = values[kept]
    found = largest(form(VALUES), count)
    np.testing.assert_array_equal(found.toarray(), expected)
    assert found.nnz == np.count_nonzero(expected)


def test_of_equal_entries_the_first() -> None:
    found = largest(sp.csr_matrix([[1.0, -2.0, 2.0, 2.0]]), 2)
    assert found.toarray().tolist() == [[0.0, -2.0, 2.0, 0.0]]


def test_an_empty_row() -> None:
    assert largest(sp.csr_matrix((2, 3)), 1).nnz == 0
