from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gnnseg.baselines import ChebyCF
from gnnseg.baselines.chebycf import interpolate
from gnnseg.graph import BipartiteGraph
from tests.graphs import from_dense, random_matrix, with_isolated


def published_coefficients(order: int, flatness: float) -> list[float]:
    """The discrete cosine sums of Chebyshev interpolation, one number after the other."""
    plateau = []
    for j in range(order + 1):
        x = math.cos((order - j) / order * math.pi)
        plateau.append(0.5 + 0.5 * (-x) ** flatness if x < 0 else 0.5 - 0.5 * x**flatness)
    angles = [(order + 0.5 - j) / (order + 1) * math.pi for j in range(order + 1)]
    sums = [
        sum(y * math.cos(k * angle) for y, angle in zip(plateau, angles, strict=True))
        for k in range(order + 1)
    ]
    return [(1 if k == 0 else 2) / (order + 1) * total for k, total in enumerate(sums)]


def published(graph: BipartiteGraph, order: int, flatness: float, alpha: float, beta: float) -> np.ndarray:
    """The filter applied to each eigenvalue of the dense Laplacian, in float64; the ideal one passes all."""
    matrix = graph.biadjacency().toarray().astype(np.float64)
    users, items = np.maximum(matrix.sum(1), 1), np.maximum(matrix.sum(0), 1)
    links = matrix / np.sqrt(np.outer(users, items))
    values, vectors = np.linalg.eigh(2 * (np.eye(len(items)) - links.T @ links) - np.eye(len(items)))
    angles = np.arccos(np.clip(values, -1, 1))
    response = sum(c * np.cos(k * angles) for k, c in enumerate(published_coefficients(order, flatness)))
    response = response + alpha * (values < 1 - 1e-9)
    return (matrix / items**beta) @ (vectors * response) @ vectors.T * items**beta


@pytest.mark.parametrize(("order", "flatness"), [(1, 1.0), (2, 3.0), (5, 1.5), (8, 10.0)])
def test_coefficients(order: int, flatness: float) -> None:
    expected = published_coefficients(order, flatness)
    np.testing.assert_allclose(interpolate(order, flatness), expected, rtol=1e-9, atol=1e-12)


def test_the_filter_falls_from_smooth_to_rough() -> None:
    response = np.polynomial.chebyshev.chebval(np.linspace(-1, 1, 9), interpolate(8, 1.5))
    assert (np.diff(response) < 0).all()
    assert response[4] == pytest.approx(0.5)
    np.testing.assert_allclose(response + response[::-1], 1)


@pytest.mark.parametrize("order", [1, 2, 3, 8])
@pytest.mark.parametrize("beta", [0.0, 0.4])
@pytest.mark.parametrize(
    "graph", [from_dense(random_matrix(25, 14)), with_isolated()], ids=["random", "isolated"]
)
def test_equals_the_published_filter(graph: BipartiteGraph, order: int, beta: float) -> None:
    scorer = ChebyCF(order=order, flatness=2.0, alpha=0.7, beta=beta).fit(graph)
    found = scorer.score(torch.arange(graph.num_users))
    np.testing.assert_allclose(found, published(graph, order, 2.0, 0.7, beta), rtol=1e-4, atol=5e-6)


def test_fewer_vectors_pass_less() -> None:
    graph = from_dense(random_matrix(25, 14))
    users = torch.arange(25)
    without, one, more = (
        ChebyCF(num_vectors=n, alpha=a).fit(graph).score(users) for n, a in [(1, 0.0), (1, 1.0), (5, 1.0)]
    )
    assert torch.linalg.matrix_rank(one - without, rtol=1e-4) == 1
    assert torch.linalg.matrix_rank(more - without, rtol=1e-4) == 5


def test_users_without_history_score_zero() -> None:
    assert not ChebyCF().fit(with_isolated()).score(torch.tensor([1])).any()


def test_one_hop_without_vectors_is_the_item_graph() -> None:
    """Of items that the user has not, ``r D^-beta N^T N D^beta``, whatever the height of the plateau."""
    matrix = random_matrix(25, 14).astype(np.float64)
    users, items = np.maximum(matrix.sum(1), 1), np.maximum(matrix.sum(0), 1)
    links = matrix / np.sqrt(np.outer(users, items))
    hop = (matrix / items**0.3) @ links.T @ links * items**0.3
    found = ChebyCF(order=1, num_vectors=0, beta=0.3).fit(from_dense(matrix)).score(torch.arange(25)).numpy()
    new = (matrix == 0) & (hop > 1e-6)
    ratio = found[new] / hop[new]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
