from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from gnnseg.graph import BipartiteGraph
from gnnseg.spectral import item_degrees, normalised, right_singular
from tests.graphs import dense_normalised, random_graph, random_matrix, with_isolated


@pytest.mark.parametrize("graph", [random_graph(), with_isolated()], ids=["random", "isolated"])
def test_normalised_is_a_block_of_the_normalised_adjacency(graph: BipartiteGraph) -> None:
    expected = dense_normalised(graph)[: graph.num_users, graph.num_users :]
    np.testing.assert_allclose(normalised(graph.biadjacency()).toarray(), expected.numpy(), rtol=1e-12)


def test_an_item_without_users_counts_as_one() -> None:
    assert item_degrees(with_isolated().biadjacency()).tolist() == [2, 2, 1, 1]


@pytest.mark.parametrize("count", [1, 5, 1000])
def test_singular_vectors(count: int) -> None:
    dense = random_matrix(90, 60).astype(np.float64)
    values, vectors = right_singular(sp.csr_matrix(dense), count)
    _, expected, rows = np.linalg.svd(dense)
    count = min(count, 60)
    np.testing.assert_allclose(values, expected[:count], rtol=2e-3)
    alike = np.abs((vectors[:, 0] * rows[0]).sum())
    assert alike == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(count), atol=1e-10)


def test_never_more_vectors_than_the_rank() -> None:
    values, vectors = right_singular(with_isolated().biadjacency().astype(np.float64), 4)
    assert len(values) == vectors.shape[1] == 3
    values, vectors = right_singular(sp.csr_matrix((3, 4)), 2)
    assert vectors.shape == (4, 0)
