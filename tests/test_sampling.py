from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from gnnseg.errors import DataError
from gnnseg.graph import BipartiteGraph
from gnnseg.sampling import UniformNegatives
from tests.graphs import from_dense, permutations, permuted, random_graph


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def free_items(graph: BipartiteGraph, user: int) -> list[int]:
    return np.flatnonzero(graph.biadjacency().toarray()[user] == 0).tolist()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(2, 12), st.floats(0, 1), st.integers(0, 10**6))
def test_never_the_users_own_items(num_users: int, num_items: int, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.random((num_users, num_items)) < density
    matrix[np.arange(num_users), rng.integers(num_items, size=num_users)] = False
    users = torch.from_numpy(rng.integers(num_users, size=50))
    drawn = UniformNegatives(from_dense(matrix)).draw(users, 7, generator(seed))
    assert drawn.shape == (50, 7)
    assert drawn.dtype == torch.int64
    assert int(drawn.min()) >= 0
    assert int(drawn.max()) < num_items
    assert not matrix[users.numpy()[:, None], drawn.numpy()].any()


@pytest.mark.parametrize("seed", range(3))
def test_equals_picking_from_the_list_of_free_items(seed: int) -> None:
    graph = random_graph(13, 10, seed=seed)
    users = torch.from_numpy(np.random.default_rng(seed).integers(13, size=40))
    uniform = torch.rand(40, 6, generator=generator(seed), dtype=torch.float64)
    lists = [free_items(graph, user) for user in users.tolist()]
    expected = [
        [free[int(u * len(free))] for u in row] for row, free in zip(uniform.tolist(), lists, strict=True)
    ]
    assert UniformNegatives(graph).draw(users, 6, generator(seed)).tolist() == expected


def test_uniform_over_the_rest() -> None:
    graph = random_graph(6, 9, seed=5)
    users = torch.arange(6).repeat_interleave(400)
    drawn = UniformNegatives(graph).draw(users, 10, generator(1)).view(6, -1).numpy()
    for user in range(6):
        counts = np.bincount(drawn[user], minlength=9)[free_items(graph, user)]
        assert counts.sum() == 4000
        assert chisquare(counts).pvalue > 1e-3


def test_columns_are_drawn_independently() -> None:
    graph = random_graph(6, 9, seed=5)
    free = len(free_items(graph, 0))
    drawn = UniformNegatives(graph).draw(torch.zeros(4000, dtype=torch.int64), 2, generator(1))
    equal = float((drawn[:, 0] == drawn[:, 1]).double().mean())
    assert equal == pytest.approx(1 / free, abs=0.03)


def test_users_without_items_and_with_one_item_left() -> None:
    graph = from_dense(np.array([[0, 0, 0], [1, 0, 1], [1, 1, 0], [0, 1, 1]]))
    drawn = UniformNegatives(graph).draw(torch.tensor([0, 1, 2, 3]), 60, generator())
    assert set(drawn[0].tolist()) == {0, 1, 2}
    assert [set(row.tolist()) for row in drawn[1:]] == [{1}, {2}, {0}]


def test_columns_of_the_matrix_in_any_order() -> None:
    graph = random_graph(13, 10)
    users, items = permutations(graph)
    other = permuted(graph, users, items)
    drawn = UniformNegatives(other).draw(torch.arange(13), 50, generator()).numpy()
    assert not other.biadjacency().toarray()[np.arange(13)[:, None], drawn].any()


@pytest.mark.parametrize("user", [0, 1, 2])
def test_a_user_with_all_items_is_refused(user: int) -> None:
    matrix = np.zeros((3, 4))
    matrix[user] = 1
    with pytest.raises(DataError, match="a user has all 4 items, so there are no negatives; remove"):
        UniformNegatives(from_dense(matrix))


def test_same_seed_same_items() -> None:
    negatives, users = UniformNegatives(random_graph()), torch.arange(11)
    first = negatives.draw(users, 20, generator(4))
    assert torch.equal(first, negatives.draw(users, 20, generator(4)))
    assert not torch.equal(first, negatives.draw(users, 20, generator(5)))


def test_draws_go_on_where_the_generator_stands() -> None:
    negatives, users, source = UniformNegatives(random_graph()), torch.arange(11), generator(4)
    assert not torch.equal(negatives.draw(users, 20, source), negatives.draw(users, 20, source))
