from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.baselines import GFCF
from gnnseg.graph import BipartiteGraph
from tests.graphs import from_dense, random_matrix, with_isolated


def published(graph: BipartiteGraph, num_vectors: int, alpha: float) -> np.ndarray:
    """The paper's formula with dense matrices in float64."""
    matrix = graph.biadjacency().toarray().astype(np.float64)
    users, items = np.maximum(matrix.sum(1), 1), np.maximum(matrix.sum(0), 1)
    links = matrix / np.sqrt(np.outer(users, items))
    values, vectors = np.linalg.eigh(links.T @ links)
    top = vectors[:, -num_vectors:][:, values[-num_vectors:] > 1e-9]
    ideal = np.diag(items**-0.5) @ top @ top.T @ np.diag(items**0.5)
    return matrix @ (links.T @ links + alpha * ideal)


@pytest.mark.parametrize(
    ("graph", "num_vectors", "alpha"),
    [
        (from_dense(random_matrix(25, 14)), 14, 0.3),
        (from_dense(random_matrix(25, 14)), 1, 2.0),
        (from_dense(random_matrix(25, 14)), 3, 0.0),
        (with_isolated(), 4, 1.0),
    ],
    ids=["all vectors", "one vector", "linear alone", "isolated"],
)
def test_equals_the_published_formula(graph: BipartiteGraph, num_vectors: int, alpha: float) -> None:
    found = GFCF(num_vectors=num_vectors, alpha=alpha).fit(graph).score(torch.arange(graph.num_users))
    np.testing.assert_allclose(found, published(graph, num_vectors, alpha), rtol=1e-4, atol=2e-6)


def test_users_without_history_score_zero() -> None:
    assert not GFCF().fit(with_isolated()).score(torch.tensor([1])).any()
