from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev

from gnnseg.baselines import PolynomialFilter
from gnnseg.baselines.chebycf import chebyshev_filter
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import GraphFilter
from gnnseg.spectral import hold_out
from tests.graphs import from_dense, permutations, permuted, random_matrix, with_isolated

GRAPH = from_dense(random_matrix(40, 14))


def fitted(graph: BipartiteGraph = GRAPH, **options: Any) -> GraphFilter:
    scorer = PolynomialFilter(**options).fit(graph)
    assert isinstance(scorer, GraphFilter)
    return scorer


def terms(matrix: np.ndarray, order: int, num_vectors: int, beta: float) -> np.ndarray:
    """Each polynomial of the dense item graph by its eigenvalues, then the low-rank term, ``[K+2, U, I]``."""
    users, items = np.maximum(matrix.sum(1), 1.0), np.maximum(matrix.sum(0), 1.0)
    links = matrix / np.sqrt(np.outer(users, items))
    values, vectors = np.linalg.eigh(np.eye(len(items)) - 2 * links.T @ links)
    parts = [(vectors * chebyshev.chebval(values, [0] * k + [1])) @ vectors.T for k in range(order + 1)]
    _, singular, rows = np.linalg.svd(links)
    top = rows[: min(num_vectors, int((singular > 1e-6).sum()))]
    parts.append(top.T @ top)
    return np.stack([(matrix / items**beta) @ part * items**beta for part in parts])


def learned(order: int, num_vectors: int, beta: float, held_out: float, ridge: float) -> np.ndarray:
    """Coefficients from a least-squares problem with one row a pair that is not kept."""
    kept, held = (part.toarray().astype(np.float64) for part in hold_out(GRAPH.biadjacency(), held_out))
    known = held.any(1)
    parts = terms(kept, order, num_vectors, beta)[:, known]
    unseen = kept[known] == 0
    rows, target = parts[:, unseen].T, held[known][unseen]
    rows[:, np.abs(rows).max(0) < 1e-9] = 0.0
    pull = np.sqrt(ridge * (rows**2).sum(0))
    system = np.vstack([rows, np.diag(pull)])
    solution: np.ndarray = np.linalg.lstsq(system, np.concatenate([target, np.zeros(order + 2)]), rcond=1e-6)[
        0
    ]
    return solution


CASES = [(1, 3, 0.0, 0.15, 0.05), (3, 5, 0.4, 0.3, 0.1), (3, 0, 0.4, 0.3, 0.1), (5, 512, 0.2, 0.5, 0.05)]
each_case = pytest.mark.parametrize(("order", "num_vectors", "beta", "held_out", "ridge"), CASES)


@each_case
def test_coefficients_equal_dense_least_squares(
    order: int, num_vectors: int, beta: float, held_out: float, ridge: float
) -> None:
    expected = learned(order, num_vectors, beta, held_out, ridge)
    found = fitted(order=order, num_vectors=num_vectors, beta=beta, held_out=held_out, ridge=ridge)
    size = np.abs(expected).max()
    np.testing.assert_allclose(found.coefficients, expected[:-1], rtol=1e-3, atol=1e-3 * size)
    whole = GRAPH.biadjacency().toarray().astype(np.float64)
    scores = np.tensordot(expected, terms(whole, order, num_vectors, beta), 1)
    # of terms that only the history itself depends on, T_0 and V of full rank, nothing can be learned
    compared = whole == 0 if num_vectors >= GRAPH.num_items else np.ones_like(whole, dtype=bool)
    np.testing.assert_allclose(
        found.score(torch.arange(40)).numpy()[compared],
        scores[compared],
        rtol=1e-3,
        atol=2e-3 * np.abs(scores).max(),
    )


@each_case
def test_terms_and_coefficients_make_the_scores(
    order: int, num_vectors: int, beta: float, held_out: float, ridge: float
) -> None:
    scorer = fitted(order=order, num_vectors=num_vectors, beta=beta, held_out=held_out, ridge=ridge)
    users = torch.tensor([3, 0, 39])
    *polynomials, low_rank = scorer.terms(users)
    assert len(polynomials) == order + 1
    total = sum(c * part for c, part in zip(scorer.coefficients, polynomials, strict=True)) + low_rank
    torch.testing.assert_close(scorer.score(users), total, rtol=1e-4, atol=1e-5)
    dense = terms(GRAPH.biadjacency().toarray().astype(np.float64), order, num_vectors, beta)
    for part, expected in zip(polynomials, dense, strict=False):
        np.testing.assert_allclose(part, expected[users.numpy()], rtol=1e-4, atol=1e-5)


def test_without_vectors_there_is_no_low_rank_term() -> None:
    scorer = fitted(num_vectors=0)
    *polynomials, low_rank = scorer.terms(torch.arange(40))
    assert len(polynomials) == 9
    assert not low_rank.any()
    assert scorer.score(torch.arange(40)).any()


def test_pairs_in_blocks_of_users_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(order=3, ridge=0.1)
    monkeypatch.setattr("gnnseg.baselines.polynomial.BLOCK", 3)
    torch.testing.assert_close(
        fitted(order=3, ridge=0.1).coefficients, whole.coefficients, rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("held_out", [0.15, 0.5])
def test_vectors_of_full_rank_add_nothing(held_out: float) -> None:
    """Their term is the history itself; its rounding must not be taken for something to learn from."""
    unseen = torch.from_numpy(GRAPH.biadjacency().toarray() == 0)
    full, without = (
        fitted(num_vectors=n, order=3, held_out=held_out).score(torch.arange(40))[unseen] for n in (14, 0)
    )
    torch.testing.assert_close(full, without, rtol=1e-3, atol=1e-3)


def test_from_fewer_users_something_else_is_learned() -> None:
    every, some, again = (fitted(order=3, ridge=0.1, max_users=n).coefficients for n in (40, 5, 5))
    assert torch.isfinite(some).all()
    assert torch.equal(some, again)
    assert not torch.allclose(every, some, rtol=1e-2)


@pytest.mark.parametrize("held_out", [0.0, 0.999999])
@pytest.mark.parametrize("graph", [GRAPH, with_isolated()], ids=["random", "isolated"])
def test_where_nothing_can_be_learned_it_is_the_item_graph(graph: BipartiteGraph, held_out: float) -> None:
    if held_out and graph is GRAPH:
        assert hold_out(graph.biadjacency(), held_out)[0].nnz == 0
    matrix = graph.biadjacency().toarray().astype(np.float64)
    users, items = np.maximum(matrix.sum(1), 1), np.maximum(matrix.sum(0), 1)
    links = matrix / np.sqrt(np.outer(users, items))
    expected = (matrix / items**0.4) @ links.T @ links * items**0.4
    found = fitted(graph, held_out=held_out).score(torch.arange(graph.num_users))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_given_coefficients_know_no_order_of_nodes() -> None:
    coefficients = np.linspace(1, -1, 9)
    users, items = permutations(GRAPH)
    straight, other = (
        chebyshev_filter(graph.biadjacency(), coefficients, 4, 0.7, 0.4).score(torch.arange(40))
        for graph in (GRAPH, permuted(GRAPH, users, items))
    )
    torch.testing.assert_close(other, straight[users][:, items], rtol=1e-4, atol=1e-4)
