from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from gnnseg.baselines import ItemKNN
from gnnseg.graph import BipartiteGraph
from tests.graphs import from_dense, random_matrix, with_isolated


def scores(graph: BipartiteGraph, **options: float) -> np.ndarray:
    return ItemKNN(**options).fit(graph).score(torch.arange(graph.num_users)).numpy()  # type: ignore[arg-type]


def similarity(graph: BipartiteGraph) -> np.ndarray:
    found = cosine_similarity(graph.biadjacency().toarray().T.astype(np.float64))
    np.fill_diagonal(found, 0)
    return found


def test_all_neighbours_without_shrinkage_is_the_cosine() -> None:
    graph = from_dense(random_matrix(30, 17))
    expected = graph.biadjacency().toarray() @ similarity(graph)
    np.testing.assert_allclose(scores(graph, shrinkage=0), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_neighbors", [1, 3, 16, 17, 18])
def test_only_the_nearest_of_each_item_speak_for_it(num_neighbors: int) -> None:
    graph = from_dense(random_matrix(97, 17))
    nearest = similarity(graph)
    assert len(np.unique(nearest[0])) == 17  # no ties, so the nearest are well defined
    for row in nearest:
        row[np.argsort(-row)[num_neighbors:]] = 0
    expected = graph.biadjacency().toarray() @ nearest.T
    found = scores(graph, num_neighbors=num_neighbors, shrinkage=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shrinkage", [1.0, 25.0])
def test_shrinkage_joins_the_denominator(shrinkage: float) -> None:
    graph = from_dense(random_matrix(30, 17))
    matrix = graph.biadjacency().toarray().astype(np.float64)
    together, count = matrix.T @ matrix, matrix.sum(0)
    expected = together / (np.sqrt(np.outer(count, count)) + shrinkage)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(scores(graph, shrinkage=shrinkage), matrix @ expected, rtol=1e-5, atol=1e-6)


def test_a_catalogue_of_more_items_than_one_block_holds() -> None:
    matrix = np.zeros((3, 2050))
    matrix[0, [0, 2049]] = matrix[1, [2047, 2048]] = matrix[2, [5]] = 1
    found = scores(from_dense(matrix), shrinkage=0)
    expected = np.zeros((3, 2050))
    expected[0, [0, 2049]] = expected[1, [2047, 2048]] = 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_users_and_items_without_links_score_zero() -> None:
    found = scores(with_isolated())
    assert not found[1].any()
    assert not found[:, 2].any()
    assert found.any()
