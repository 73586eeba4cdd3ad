from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from gnnseg.baselines import EASE, SparseEASE
from gnnseg.errors import DataError, TooLargeError
from gnnseg.graph import BipartiteGraph
from tests.graphs import from_dense, random_matrix, with_isolated

GRAPH = from_dense(random_matrix(25, 14))


def ridge(graph: BipartiteGraph, regularization: float) -> np.ndarray:
    """Each item regressed on all others by least squares with ``sqrt(lambda)`` rows added: no closed form."""
    matrix = graph.biadjacency().toarray().astype(np.float64)
    size = graph.num_items
    weights = np.zeros((size, size))
    for item in range(size):
        others = np.arange(size) != item
        rows = np.vstack([matrix[:, others], np.sqrt(regularization) * np.eye(size - 1)])
        target = np.concatenate([matrix[:, item], np.zeros(size - 1)])
        weights[others, item] = np.linalg.lstsq(rows, target, rcond=None)[0]
    return weights


@pytest.mark.parametrize("regularization", [0.5, 10.0, 500.0])
@pytest.mark.parametrize(
    "graph", [from_dense(random_matrix(25, 14)), with_isolated()], ids=["random", "isolated"]
)
def test_equals_a_ridge_regression_for_each_item(graph: BipartiteGraph, regularization: float) -> None:
    expected = ridge(graph, regularization)
    scorer = EASE(regularization=regularization).fit(graph)
    np.testing.assert_allclose(scorer.weights.numpy(), expected, rtol=1e-4, atol=1e-7)
    found = scorer.score(torch.arange(graph.num_users)).numpy()
    np.testing.assert_allclose(found, graph.biadjacency().toarray() @ expected, rtol=1e-4, atol=1e-6)


def test_is_refused_without_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 32 * GRAPH.num_items**2
    monkeypatch.setattr("gnnseg.memory.available", lambda device: needed)
    EASE().fit(GRAPH)
    monkeypatch.setattr("gnnseg.memory.available", lambda device: needed - 1)
    with pytest.raises(TooLargeError, match=f"needs {needed} bytes .*, {needed - 1} bytes .*; use Sparse"):
        EASE().fit(GRAPH)


def test_memory_is_estimated() -> None:
    """What NumPy takes is no more; LAPACK's own copies, which are not counted here, are half of it."""
    graph = from_dense(random_matrix(400, 300))
    tracemalloc.start()
    try:
        EASE().item_weights(graph.biadjacency())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * 300**2
    assert peak > 14 * 300**2


def test_an_item_does_not_speak_for_itself() -> None:
    weights = EASE().fit(from_dense(random_matrix(25, 14))).weights
    assert not weights.diagonal().any()
    assert not torch.allclose(weights, weights.T)


def test_too_many_items_are_refused() -> None:
    graph = from_dense(random_matrix(25, 14))
    assert EASE(max_items=14).fit(graph).num_items == 14
    with pytest.raises(DataError, match=r"14 x 14 matrix .*refused above 13 items; use SparseEASE, or raise"):
        EASE(max_items=13).fit(graph)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize(("user_exponent", "item_exponent"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.3), (0.4, 0.5)])
@pytest.mark.parametrize("graph", [GRAPH, with_isolated()], ids=["random", "isolated"])
def test_dropout_and_exponents_against_a_regression_for_each_item(
    graph: BipartiteGraph, dropout: float, user_exponent: float, item_exponent: float
) -> None:
    """Each item regressed on all others, each of those pulled to zero by its own count too."""
    matrix = graph.biadjacency().toarray().astype(np.float64)
    users, items = np.maximum(matrix.sum(1), 1), np.maximum(matrix.sum(0), 1)
    links = matrix / np.outer(users**user_exponent, items**item_exponent)
    pull = 10.0 + dropout / (1 - dropout) * (links**2).sum(0)
    expected = np.zeros((graph.num_items, graph.num_items))
    for item in range(graph.num_items):
        others = np.arange(graph.num_items) != item
        rows = np.vstack([links[:, others], np.diag(np.sqrt(pull[others]))])
        target = np.concatenate([links[:, item], np.zeros(others.sum())])
        expected[others, item] = np.linalg.lstsq(rows, target, rcond=None)[0]
    expected *= items**item_exponent / (items**item_exponent)[:, None]
    scorer = EASE(
        regularization=10.0, dropout=dropout, user_exponent=user_exponent, item_exponent=item_exponent
    ).fit(graph)
    np.testing.assert_allclose(scorer.weights.numpy(), expected, rtol=1e-4, atol=1e-7)
    found = scorer.score(torch.arange(graph.num_users)).numpy()
    np.testing.assert_allclose(found, matrix @ expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("graph", [GRAPH, with_isolated()], ids=["random", "isolated"])
def test_without_dropout_and_exponents_it_is_what_was_published(graph: BipartiteGraph) -> None:
    """To the last bit: results of before these options stay."""
    matrix = graph.biadjacency().astype(np.float64)
    counts = (matrix.T @ matrix).toarray()
    counts[np.diag_indices(len(counts))] += 500.0
    precision = np.linalg.inv(counts)
    expected = precision / -np.diag(precision)
    np.fill_diagonal(expected, 0.0)
    assert np.array_equal(EASE().fit(graph).weights.numpy(), expected.astype(np.float32))


def dense_weights(sparse: SparseEASE, graph: BipartiteGraph) -> np.ndarray:
    """Histories of one item each are told its weights."""
    eye = sparse.fit(graph)
    size = graph.num_items
    eye.indptr, eye.indices = torch.arange(size + 1), torch.arange(size)
    found: np.ndarray = eye.score(torch.arange(size)).numpy()
    return found


def on_neighbors(
    graph: BipartiteGraph, count: int, regularization: float, dropout: float = 0.0
) -> np.ndarray:
    """Each item regressed on the items most like it by cosine, found one by one."""
    matrix = graph.biadjacency().toarray().astype(np.float64)
    size = graph.num_items
    weights = np.zeros((size, size))
    for item in range(size):
        alike = {}
        for other in range(size):
            both = float(matrix[:, item] @ matrix[:, other])
            if other != item and both > 0:
                alike[other] = both / np.linalg.norm(matrix[:, item]) / np.linalg.norm(matrix[:, other])
        near = sorted(alike, key=lambda other: (-round(alike[other], 9), other))[:count]
        pull = regularization + dropout / (1 - dropout) * matrix[:, near].sum(0)
        rows = np.vstack([matrix[:, near], np.diag(np.sqrt(pull))])
        target = np.concatenate([matrix[:, item], np.zeros(len(near))])
        weights[near, item] = np.linalg.lstsq(rows, target, rcond=None)[0]
    return weights


@pytest.mark.parametrize(("regularization", "dropout"), [(0.5, 0.0), (100.0, 0.0), (5.0, 0.4)])
@pytest.mark.parametrize("count", [1, 4, 100])
@pytest.mark.parametrize(
    "graph",
    [GRAPH, with_isolated(), from_dense(random_matrix(12, 30, density=0.1)), from_dense(np.eye(3))],
    ids=["random", "isolated", "few in common", "nothing in common"],
)
def test_sparse_equals_a_ridge_regression_on_neighbors(
    graph: BipartiteGraph, count: int, regularization: float, dropout: float
) -> None:
    sparse = SparseEASE(num_neighbors=count, regularization=regularization, dropout=dropout)
    expected = on_neighbors(graph, count, regularization, dropout)
    np.testing.assert_allclose(dense_weights(sparse, graph), expected, rtol=1e-4, atol=1e-7)
    found = sparse.fit(graph).score(torch.arange(graph.num_users)).numpy()
    np.testing.assert_allclose(found, graph.biadjacency().toarray() @ expected, rtol=1e-4, atol=1e-6)


def test_sparse_with_all_items_as_neighbors_is_ease() -> None:
    graph = from_dense(random_matrix(40, 12, density=0.5))
    links = graph.biadjacency().toarray()
    assert (links.T @ links > 0).all()
    found = dense_weights(SparseEASE(num_neighbors=11, regularization=7.0), graph)
    np.testing.assert_allclose(found, ridge(graph, 7.0), rtol=1e-4, atol=1e-7)
    assert not found.diagonal().any()


@pytest.mark.parametrize("chunk", [1, 40])
def test_sparse_in_blocks_is_the_same(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    sparse = SparseEASE(num_neighbors=4, regularization=2.0)
    whole = dense_weights(sparse, GRAPH)
    monkeypatch.setattr("gnnseg.baselines.ease.CHUNK", chunk)
    np.testing.assert_allclose(dense_weights(sparse, GRAPH), whole, rtol=1e-6)


def test_sparse_without_any_interaction_scores_zero() -> None:
    graph = from_dense(np.zeros((2, 3)))
    assert not SparseEASE().fit(graph).score(torch.arange(2)).any()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_weights_of_users_against_the_closed_form(dropout: float) -> None:
    matrix, weights = GRAPH.biadjacency(), np.random.default_rng(0).random(25) * 3
    links = matrix.toarray().astype(np.float64)
    gram = sum(w * np.outer(row, row) for w, row in zip(weights, links, strict=True))
    precision = np.linalg.inv(gram + np.diag(7.0 + dropout / (1 - dropout) * np.diag(gram)))
    expected = -precision / np.diag(precision)
    np.fill_diagonal(expected, 0)
    found = EASE(regularization=7.0, dropout=dropout).item_weights(matrix, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_item_exponents_count_every_user_once() -> None:
    matrix, weights = GRAPH.biadjacency(), np.random.default_rng(0).random(25) * 3
    links = matrix.toarray().astype(np.float64)
    scale = np.diag(links.sum(0) ** 0.5)
    inner = (links @ np.linalg.inv(scale)) * np.sqrt(weights)[:, None]
    precision = np.linalg.inv(inner.T @ inner + 7.0 * np.eye(14))
    expected = -precision / np.diag(precision)
    np.fill_diagonal(expected, 0)
    expected = np.linalg.inv(scale) @ expected @ scale
    found = EASE(regularization=7.0, item_exponent=0.5).item_weights(matrix, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-12)
