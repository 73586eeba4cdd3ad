from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gnnseg.encoders import SpectralFilter
from gnnseg.graph import BipartiteGraph
from gnnseg.spectral import hold_out
from tests.graphs import from_dense, random_matrix, with_isolated

GRAPH = from_dense(random_matrix(40, 14))


def fitted(graph: BipartiteGraph = GRAPH, seed: int = 0, **options: Any) -> SpectralFilter:
    torch.manual_seed(seed)
    encoder = SpectralFilter(graph.num_users, graph.num_items, **{"dim": 5, **options})
    encoder.warm_start(graph)
    return encoder


def scores(encoder: SpectralFilter, graph: BipartiteGraph = GRAPH) -> np.ndarray:
    users, items = encoder(graph)
    found: np.ndarray = (users @ items.T).detach().numpy()
    return found


class Dense:
    """Everything in float64, nothing but products of dense matrices."""

    def __init__(self, matrix: np.ndarray, dim: int, exponents: tuple[float, float, float]) -> None:
        a, b, c = exponents
        users, items = np.maximum(matrix.sum(1), 1.0), np.maximum(matrix.sum(0), 1.0)
        links = matrix / np.outer(users**a, items**b)
        self.basis = np.linalg.svd(links)[2][:dim].T
        self.left = links @ self.basis
        self.right = self.basis * (items**c)[:, None]
        self.activity = (np.log(users) - np.log(users).mean()) / np.log(users).std()

    def weighed(self, pairs: np.ndarray, by_activity: bool) -> np.ndarray:
        """What each unknown weighs in the score of each pair ``[n, 2]``."""
        rows = []
        for user, item in pairs:
            flat = self.left[user] * self.right[item]
            rows.append(np.concatenate([flat, flat * self.activity[user]]) if by_activity else flat)
        return np.array(rows)


def expected(
    dim: int, exponents: tuple[float, float, float], by_activity: bool, held_out: float, ridge: float
) -> tuple[np.ndarray, np.ndarray]:
    """The response from all pairs that are not kept, one a row of a least-squares problem, and the scores."""
    kept, held = (part.toarray().astype(np.float64) for part in hold_out(GRAPH.biadjacency(), held_out))
    dense = Dense(kept, dim, exponents)
    pairs = np.argwhere(kept == 0)
    rows, target = dense.weighed(pairs, by_activity), held[kept == 0]
    flat = np.zeros(rows.shape[1])
    flat[:dim] = 1
    flat *= np.linalg.lstsq(rows @ flat[:, None], target, rcond=None)[0]
    pull = np.sqrt(ridge * (rows**2).sum(0))
    response = np.linalg.lstsq(
        np.vstack([rows, np.diag(pull)]), np.concatenate([target, pull * flat]), rcond=None
    )[0]
    whole = Dense(GRAPH.biadjacency().toarray().astype(np.float64), dim, exponents)
    every = np.argwhere(np.ones((GRAPH.num_users, GRAPH.num_items)))
    found = whole.weighed(every, by_activity) @ response
    return response.reshape(-1, dim), found.reshape(GRAPH.num_users, GRAPH.num_items)


@pytest.mark.parametrize("by_activity", [True, False])
@pytest.mark.parametrize("exponents", [(0.3, 0.3, 0.3), (0.5, 0.2, 0.0), (0.0, 0.5, 0.7)])
@pytest.mark.parametrize(("dim", "held_out", "ridge"), [(5, 0.15, 0.1), (3, 0.4, 0.01), (8, 0.3, 1.0)])
def test_equals_dense_least_squares(
    by_activity: bool, exponents: tuple[float, float, float], dim: int, held_out: float, ridge: float
) -> None:
    a, b, c = exponents
    encoder = fitted(
        dim=dim,
        user_exponent=a,
        item_exponent=b,
        output_exponent=c,
        by_activity=by_activity,
        held_out=held_out,
        ridge=ridge,
    )
    response, found = expected(dim, exponents, by_activity, held_out, ridge)
    assert encoder.response.shape == (1 + by_activity, dim)
    size = np.abs(response).max()
    np.testing.assert_allclose(encoder.response.detach().numpy(), response, rtol=1e-3, atol=1e-3 * size)
    np.testing.assert_allclose(scores(encoder), found, rtol=1e-3, atol=1e-3 * np.abs(found).max())


def test_the_basis_is_of_the_whole_graph() -> None:
    dense = Dense(GRAPH.biadjacency().toarray().astype(np.float64), 5, (0.3, 0.3, 0.3))
    alike = np.abs((fitted().basis.numpy() * dense.basis).sum(0))
    np.testing.assert_allclose(alike, 1, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 100])
def test_pairs_in_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    whole = fitted().response
    monkeypatch.setattr("gnnseg.encoders.spectral_filter.CHUNK", chunk)
    torch.testing.assert_close(fitted().response, whole, rtol=1e-3, atol=1e-4)


def test_a_large_ridge_leaves_the_response_flat() -> None:
    response, activity = fitted(ridge=1e6).response.detach()
    assert response[0] > 0
    torch.testing.assert_close(response, response[0].expand(5), rtol=1e-4, atol=0)
    assert activity.abs().max() < 1e-4 * response[0]
    response, activity = fitted(ridge=0.1).response.detach()
    assert response.std() > 0.05 * response.mean().abs()
    assert activity.abs().max() > 0.01


def test_without_held_out_edges_the_response_is_flat() -> None:
    encoder = fitted(held_out=0.0)
    assert torch.equal(encoder.response, torch.tensor([[1.0], [0.0]]).expand(2, 5))
    dense = Dense(GRAPH.biadjacency().toarray().astype(np.float64), 5, (0.3, 0.3, 0.3))
    np.testing.assert_allclose(scores(encoder), dense.left @ dense.right.T, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("held_out", [0.15, 0.999999])
@pytest.mark.parametrize("by_activity", [True, False])
@pytest.mark.parametrize(
    "graph",
    [
        with_isolated(),
        from_dense(np.ones((3, 1))),
        from_dense(np.array([[1, 0, 1, 0]])),
        from_dense(np.eye(9)),
        from_dense(np.zeros((2, 3))),
    ],
    ids=["isolated", "one item", "one user", "nothing in common", "no edge"],
)
def test_where_nothing_can_be_learned_the_response_is_flat(
    graph: BipartiteGraph, by_activity: bool, held_out: float
) -> None:
    encoder = fitted(graph, held_out=held_out, by_activity=by_activity)
    assert (encoder.response[0] == 1).all()
    assert not encoder.response[1:].any()
    assert np.isfinite(scores(encoder, graph)).all()
    assert scores(encoder, graph).any() == (graph.num_edges > 0)


def test_dimensions_beyond_the_rank_are_zero() -> None:
    encoder, exact = fitted(dim=20), fitted(dim=14)
    assert torch.isfinite(encoder.response).all()
    assert (encoder.basis[:, :14].norm(dim=0) > 0.99).all()
    for table in (encoder.basis, *encoder(GRAPH)):
        assert not table[:, 14:].any()
        assert torch.isfinite(table).all()
    unseen = GRAPH.biadjacency().toarray() == 0
    size = np.abs(scores(exact)).max()
    np.testing.assert_allclose(scores(encoder)[unseen], scores(exact)[unseen], rtol=0, atol=0.01 * size)


@pytest.mark.parametrize("by_activity", [True, False])
def test_a_new_user_is_what_a_training_user_with_that_history_is(by_activity: bool) -> None:
    encoder = fitted(by_activity=by_activity)
    rows = [7, 0, 31]
    found = encoder.fold_in(GRAPH, GRAPH.biadjacency()[rows])
    torch.testing.assert_close(found, encoder(GRAPH).users[rows], rtol=1e-4, atol=1e-5)


def test_histories_longer_than_any_count_as_the_longest() -> None:
    """The response is learned within a range of degrees, and must not be stretched beyond it."""
    encoder = fitted(user_exponent=0.0)
    matrix = GRAPH.biadjacency()
    longest = int(matrix.getnnz(axis=1).argmax())
    every = np.ones((1, GRAPH.num_items), dtype=np.float32)
    assert matrix.getnnz(axis=1)[longest] < GRAPH.num_items
    found = encoder.fold_in(GRAPH, sp.csr_matrix(every))
    activity = (np.log(matrix.getnnz(axis=1)) - np.log(matrix.getnnz(axis=1)).mean())[longest]
    activity /= np.log(matrix.getnnz(axis=1)).std()
    response = (encoder.response[0] + activity * encoder.response[1]).detach().numpy()
    items = GRAPH.biadjacency().toarray().sum(0) ** -0.3
    np.testing.assert_allclose(
        found.numpy()[0], (items @ encoder.basis.numpy()) * response, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("length", [1, 2, 5])
def test_users_who_are_all_alike_do_not_make_a_new_one_an_outlier(length: int) -> None:
    """Where all degrees are the same there is nothing to measure another one by."""
    matrix = np.stack([np.roll(np.arange(14) < 4, shift) for shift in range(14)])
    graph = from_dense(matrix)
    encoder = fitted(graph)
    assert encoder.response[1].any()
    new = encoder.fold_in(graph, sp.csr_matrix((np.arange(14) < length)[None].astype(np.float32)))
    assert new.norm() < 3 * encoder(graph).users.norm(dim=1).max()


def test_the_start_is_the_same_whatever_the_seed() -> None:
    first, other = fitted(seed=0), fitted(seed=1)
    assert torch.equal(first.basis, other.basis)
    assert torch.equal(first.response, other.response)
    assert first.response.requires_grad
    assert set(first.state_dict()) == {"basis", "response"}
