from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from gnnseg.graph import BipartiteGraph
from gnnseg.spectral import hold_out, item_degrees, normalised, right_singular
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


@pytest.mark.parametrize(("user_exponent", "item_exponent"), [(0.0, 0.0), (0.3, 0.0), (0.2, 0.7), (1.0, 1.0)])
@pytest.mark.parametrize("graph", [random_graph(), with_isolated()], ids=["random", "isolated"])
def test_normalised_with_exponents(graph: BipartiteGraph, user_exponent: float, item_exponent: float) -> None:
    matrix = graph.biadjacency().toarray().astype(np.float64)
    users, items = np.maximum(matrix.sum(1), 1), np.maximum(matrix.sum(0), 1)
    found = normalised(graph.biadjacency(), user_exponent, item_exponent).toarray()
    np.testing.assert_allclose(found, matrix / np.outer(users**user_exponent, items**item_exponent))


@pytest.mark.parametrize("share", [0.0, 0.15, 0.5, 0.999999])
def test_held_out_and_kept_edges_are_all_edges_once(share: float) -> None:
    matrix = sp.csr_matrix(random_matrix(90, 60))
    kept, held = hold_out(matrix, share)
    assert kept.shape == held.shape == matrix.shape
    assert kept.multiply(held).nnz == 0
    assert np.array_equal((kept + held).toarray(), matrix.toarray())
    assert held.nnz / matrix.nnz == pytest.approx(share, abs=0.05)
    assert np.array_equal(matrix.toarray(), random_matrix(90, 60))
    for part, again in zip((kept, held), hold_out(matrix, share), strict=True):
        assert part.has_canonical_format
        assert np.array_equal(part.toarray(), again.toarray())


def test_edges_are_held_out_of_all_over_the_matrix() -> None:
    _, held = hold_out(sp.csr_matrix(np.ones((50, 40))), 0.3)
    assert (held.getnnz(axis=0) > 0).all()
    assert (held.getnnz(axis=1) > 0).all()
    assert len(np.unique(held.getnnz(axis=1))) > 3


def test_another_seed_holds_out_other_edges() -> None:
    matrix = sp.csr_matrix(random_matrix(50, 40))
    _, first = hold_out(matrix, 0.3)
    for seed in (0, 1):
        _, held = hold_out(matrix, 0.3, seed)
        assert np.array_equal(held.toarray(), first.toarray()) == (seed == 0)


def test_holding_out_does_not_touch_global_randomness() -> None:
    matrix, state = sp.csr_matrix(random_matrix(9, 6)), np.random.get_state()[1].copy()  # noqa: NPY002
    hold_out(matrix, 0.5)
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002
