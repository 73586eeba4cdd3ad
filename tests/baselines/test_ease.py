from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.baselines import EASE
from gnnseg.errors import DataError
from gnnseg.graph import BipartiteGraph
from tests.graphs import from_dense, random_matrix, with_isolated


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


def test_an_item_does_not_speak_for_itself() -> None:
    weights = EASE().fit(from_dense(random_matrix(25, 14))).weights
    assert not weights.diagonal().any()
    assert not torch.allclose(weights, weights.T)


def test_too_many_items_are_refused() -> None:
    graph = from_dense(random_matrix(25, 14))
    assert EASE(max_items=14).fit(graph).num_items == 14
    with pytest.raises(DataError, match=r"14 x 14 matrix .*refused above 13 items; use SparseEASE, or raise"):
        EASE(max_items=13).fit(graph)
