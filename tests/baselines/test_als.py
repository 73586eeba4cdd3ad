from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.baselines import ImplicitALS
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import Factors, factors
from tests.graphs import from_dense, random_matrix, with_isolated

GRAPHS = [from_dense(random_matrix(25, 14)), with_isolated()]


def fitted(graph: BipartiteGraph, **settings: float) -> tuple[np.ndarray, np.ndarray]:
    scorer = ImplicitALS(**settings).fit(graph)  # type: ignore[arg-type]
    assert isinstance(scorer, Factors)
    return scorer.users.double().numpy(), scorer.items.double().numpy()


def loss(
    matrix: np.ndarray, users: np.ndarray, items: np.ndarray, regularization: float, alpha: float
) -> float:
    squares = (1 + alpha * matrix) * (matrix - users @ items.T) ** 2
    return float(squares.sum() + regularization * ((users**2).sum() + (items**2).sum()))


@pytest.mark.parametrize("graph", GRAPHS, ids=["random", "isolated"])
def test_items_solve_their_weighted_ridge_regressions(graph: BipartiteGraph) -> None:
    matrix = graph.biadjacency().toarray().astype(np.float64)
    users, items = fitted(graph, dim=3, regularization=0.7, alpha=4.0, iterations=2)
    for item in range(graph.num_items):
        root = np.sqrt(1 + 4.0 * matrix[:, item])
        rows = np.vstack([root[:, None] * users, np.sqrt(0.7) * np.eye(users.shape[1])])
        target = np.concatenate([root * matrix[:, item], np.zeros(users.shape[1])])
        expected = np.linalg.lstsq(rows, target, rcond=None)[0]
        np.testing.assert_allclose(items[item], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("graph", GRAPHS, ids=["random", "isolated"])
def test_ends_where_the_loss_is_stationary_for_users_too(graph: BipartiteGraph) -> None:
    matrix = graph.biadjacency().toarray().astype(np.float64)
    users, items = (
        torch.from_numpy(table).requires_grad_()
        for table in fitted(graph, dim=2, regularization=1.0, alpha=2.0, iterations=300)
    )
    links = torch.from_numpy(matrix)
    squares = (1 + 2 * links) * (links - users @ items.T) ** 2
    (squares.sum() + (users**2).sum() + (items**2).sum()).backward()
    for table in (users, items):
        assert table.grad is not None
        assert table.grad.abs().max() < 1e-2


def test_every_iteration_lowers_the_loss() -> None:
    graph = GRAPHS[0]
    matrix = graph.biadjacency().toarray()
    losses = [
        loss(matrix, *fitted(graph, dim=4, regularization=1.0, alpha=3.0, iterations=n), 1.0, 3.0)
        for n in (1, 2, 4, 8)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


@pytest.mark.parametrize("values", [1, 40, 300])
def test_batches_change_nothing(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(GRAPHS[0], dim=4)
    monkeypatch.setattr(factors, "BATCH_VALUES", values)
    for table, expected in zip(fitted(GRAPHS[0], dim=4), whole, strict=True):
        np.testing.assert_allclose(table, expected, rtol=1e-3, atol=1e-4)
