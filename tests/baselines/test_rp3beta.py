from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.baselines import RP3beta, rp3beta
from gnnseg.graph import BipartiteGraph
from tests.graphs import from_dense, random_matrix, with_isolated


def walks(graph: BipartiteGraph, alpha: float, beta: float, num_neighbors: int) -> np.ndarray:
    """Steps counted one by one, weights sorted item by item, in float64."""
    matrix = graph.biadjacency().toarray().astype(np.float64)
    users, items = matrix.sum(1), matrix.sum(0)
    weights = np.zeros((graph.num_items, graph.num_items))
    for user, start in np.argwhere(matrix).tolist():
        for end in np.flatnonzero(matrix[user]).tolist():
            if start != end:
                probability = (1 / items[start]) ** alpha * (1 / users[user]) ** alpha
                weights[start, end] += probability / items[end] ** beta
    for end in range(graph.num_items):
        weights[np.argsort(-weights[:, end])[num_neighbors:], end] = 0
    return matrix @ weights


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.6, 0.4), (0.0, 1.0)])
@pytest.mark.parametrize(
    "graph", [from_dense(random_matrix(25, 14)), with_isolated()], ids=["random", "isolated"]
)
def test_equals_walks_step_by_step(graph: BipartiteGraph, alpha: float, beta: float) -> None:
    scorer = RP3beta(alpha=alpha, beta=beta).fit(graph)
    found = scorer.score(torch.arange(graph.num_users))
    np.testing.assert_allclose(found, walks(graph, alpha, beta, 100), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("block_pairs", [1, 14 * 5, 2**23])
def test_the_nearest_items_are_kept_whatever_the_blocks(
    block_pairs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rp3beta, "BLOCK_PAIRS", block_pairs)
    graph = from_dense(random_matrix(25, 14))
    found = RP3beta(alpha=0.73, beta=0.41, num_neighbors=3).fit(graph).score(torch.arange(25))
    np.testing.assert_allclose(found, walks(graph, 0.73, 0.41, 3), rtol=1e-5, atol=1e-7)


def test_beta_favours_rare_items() -> None:
    graph = from_dense(random_matrix(40, 14))
    degrees = graph.biadjacency().toarray().sum(0)
    means = [
        RP3beta(beta=beta).fit(graph).score(torch.arange(40)).mean(0).numpy() for beta in (0.0, 0.5, 1.0)
    ]
    slopes = [np.corrcoef(degrees, mean)[0, 1] for mean in means]
    assert slopes[0] > slopes[1] > slopes[2]
