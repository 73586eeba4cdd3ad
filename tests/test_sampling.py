from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from gnnseg.batch import Batch
from gnnseg.errors import DataError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.sampling import TRIES, DynamicHard, InBatch, NegativeSampler, Popularity, Uniform
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
    drawn = Uniform(from_dense(matrix)).uniform(users, 7, generator(seed))
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
    assert Uniform(graph).uniform(users, 6, generator(seed)).tolist() == expected


def test_uniform_over_the_rest() -> None:
    graph = random_graph(6, 9, seed=5)
    users = torch.arange(6).repeat_interleave(400)
    drawn = Uniform(graph).uniform(users, 10, generator(1)).view(6, -1).numpy()
    for user in range(6):
        counts = np.bincount(drawn[user], minlength=9)[free_items(graph, user)]
        assert counts.sum() == 4000
        assert chisquare(counts).pvalue > 1e-3


def test_columns_are_drawn_independently() -> None:
    graph = random_graph(6, 9, seed=5)
    free = len(free_items(graph, 0))
    drawn = Uniform(graph).uniform(torch.zeros(4000, dtype=torch.int64), 2, generator(1))
    equal = float((drawn[:, 0] == drawn[:, 1]).double().mean())
    assert equal == pytest.approx(1 / free, abs=0.03)


def test_users_without_items_and_with_one_item_left() -> None:
    graph = from_dense(np.array([[0, 0, 0], [1, 0, 1], [1, 1, 0], [0, 1, 1]]))
    drawn = Uniform(graph).uniform(torch.tensor([0, 1, 2, 3]), 60, generator())
    assert set(drawn[0].tolist()) == {0, 1, 2}
    assert [set(row.tolist()) for row in drawn[1:]] == [{1}, {2}, {0}]


def test_columns_of_the_matrix_in_any_order() -> None:
    graph = random_graph(13, 10)
    users, items = permutations(graph)
    other = permuted(graph, users, items)
    drawn = Uniform(other).uniform(torch.arange(13), 50, generator()).numpy()
    assert not other.biadjacency().toarray()[np.arange(13)[:, None], drawn].any()


@pytest.mark.parametrize("user", [0, 1, 2])
def test_a_user_with_all_items_is_refused(user: int) -> None:
    matrix = np.zeros((3, 4))
    matrix[user] = 1
    with pytest.raises(DataError, match="a user has all 4 items, so there are no negatives; remove"):
        Uniform(from_dense(matrix))


def test_same_seed_same_items() -> None:
    negatives, users = Uniform(random_graph()), torch.arange(11)
    first = negatives.uniform(users, 20, generator(4))
    assert torch.equal(first, negatives.uniform(users, 20, generator(4)))
    assert not torch.equal(first, negatives.uniform(users, 20, generator(5)))


def test_draws_go_on_where_the_generator_stands() -> None:
    negatives, users, source = Uniform(random_graph()), torch.arange(11), generator(4)
    assert not torch.equal(negatives.uniform(users, 20, source), negatives.uniform(users, 20, source))


def batch_of_all(graph: BipartiteGraph) -> Batch:
    """Every pair of the graph, each user once."""
    users, items = torch.from_numpy(graph.biadjacency().toarray()).nonzero().T
    return Batch.of(graph, users, items)


def nothing(graph: BipartiteGraph) -> Embeddings:
    return Embeddings(torch.zeros(graph.num_users, 1), torch.zeros(graph.num_items, 1))


def test_own_items() -> None:
    graph = random_graph(9, 7)
    users, items = torch.tensor([3, 0, 8, 3]), torch.randint(7, (4, 20))
    expected = torch.from_numpy(graph.biadjacency().toarray())[users.unsqueeze(1), items] > 0
    assert expected.any()
    assert torch.equal(Uniform(graph).own(users, items), expected)
    empty = Uniform(from_dense(np.zeros((2, 3))))
    assert empty.own(torch.tensor([1]), torch.tensor([[0, 2]])).tolist() == [[False, False]]


def test_uniform_draws_what_it_says() -> None:
    graph = random_graph()
    batch = batch_of_all(graph)
    drawn = Uniform(graph).draw(batch, nothing(graph), 20, generator(4))
    assert torch.equal(drawn, Uniform(graph).uniform(batch.users, 20, generator(4)))
    assert Uniform(graph).log_q(batch.users, drawn) is None


def expected_shares(graph: BipartiteGraph, weights: np.ndarray, user: int) -> np.ndarray:
    """By the definition: ``TRIES`` draws from the weights, a uniform one if each was the user's own."""
    own = graph.biadjacency().toarray()[user] > 0
    proposal = weights / weights.sum()
    missed = proposal[own].sum() ** TRIES
    allowed = np.where(own, 0, proposal)
    return (1 - missed) * allowed / allowed.sum() + missed * ~own / (~own).sum()


SAMPLES = [
    (Popularity, {}, 0.75),
    (Popularity, {"exponent": 2.0}, 2.0),
    (Popularity, {"exponent": 0.0}, 0.0),
    (InBatch, {}, 1.0),
]


@pytest.mark.parametrize(("cls", "options", "exponent"), SAMPLES)
def test_by_popularity(cls: type[NegativeSampler], options: dict[str, float], exponent: float) -> None:
    graph = random_graph(6, 9, seed=5)
    degrees = graph.biadjacency().toarray().sum(0).astype(np.float64)
    assert len(set(degrees)) > 2
    drawn = cls(graph, **options).draw(batch_of_all(graph), nothing(graph), 6000, generator(1)).numpy()
    for user in range(6):
        share = expected_shares(graph, degrees**exponent, user)
        counts = np.bincount(drawn[user], minlength=9)
        assert not counts[share == 0].any()
        assert chisquare(counts[share > 0], 6000 * share[share > 0]).pvalue > 1e-3


@pytest.mark.parametrize(("cls", "options", "exponent"), SAMPLES)
def test_log_q_is_the_share_against_a_uniform_one(
    cls: type[NegativeSampler], options: dict[str, float], exponent: float
) -> None:
    graph = random_graph(6, 9, seed=5)
    dense = graph.biadjacency().toarray()
    for user in range(6):
        free = np.flatnonzero(dense[user] == 0)
        weights = dense.sum(0)[free] ** exponent
        expected = np.log(weights / weights.sum() * len(free))
        found = cls(graph, **options).log_q(torch.tensor([user]), torch.from_numpy(free).unsqueeze(0))
        assert found is not None
        np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_without_anything_popular_left_draws_are_uniform() -> None:
    graph = from_dense(np.array([[1, 0, 0, 0], [1, 0, 0, 0]]))
    for sampler in (Popularity(graph), InBatch(graph)):
        drawn = sampler.draw(batch_of_all(graph), nothing(graph), 3000, generator())
        assert chisquare(np.bincount(drawn[0].numpy())[1:]).pvalue > 1e-3
        found = sampler.log_q(torch.tensor([0]), torch.tensor([[1, 2, 3]]))
        assert found is not None
        assert found.tolist() == [[0, 0, 0]]


def test_in_batch_draws_items_of_the_batch() -> None:
    graph = random_graph(20, 15)
    dense = graph.biadjacency().toarray()
    users, items = (torch.from_numpy(part) for part in np.argwhere(dense)[::9].T)
    batch = Batch.of(graph, users, items)
    drawn = InBatch(graph).draw(batch, nothing(graph), 200, generator())
    elsewhere = 0
    for user, row in zip(batch.users.tolist(), drawn.tolist(), strict=True):
        others = set(items.tolist()) - set(np.flatnonzero(dense[user]).tolist())
        assert others <= set(row)
        elsewhere += sum(item not in others for item in row)
    assert elsewhere < 0.05 * drawn.numel()


@pytest.mark.parametrize("pool", [1, 3])
def test_dynamic_hard_keeps_the_best_of_the_pool(pool: int) -> None:
    graph = random_graph()
    batch = batch_of_all(graph)
    both = Embeddings(torch.randn(graph.num_users, 3), torch.randn(graph.num_items, 3))
    drawn = DynamicHard(graph, pool=pool).draw(batch, both, 4, generator(2))
    candidates = Uniform(graph).uniform(batch.users, pool * 4, generator(2))
    for user, row, choice in zip(batch.users.tolist(), drawn.tolist(), candidates.tolist(), strict=True):
        scores = {item: float(both.users[user] @ both.items[item]) for item in choice}
        assert sorted(row) == sorted(sorted(choice, key=lambda item: -scores[item])[:4])


def test_hard_items_are_those_that_the_batchs_own_product_scores_best() -> None:
    graph = random_graph()
    users, items = torch.randn(graph.num_users, 4), torch.randn(graph.num_items, 3)

    def product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return -(one[..., :3] - other).square().sum(-1)

    batch = Batch.of(graph, torch.tensor([1, 4, 7]), torch.tensor([0, 0, 0]), product)
    drawn = DynamicHard(graph, pool=4).draw(batch, Embeddings(users, items), 2, generator(2))
    candidates = Uniform(graph).uniform(batch.users, 8, generator(2))
    for user, row, choice in zip(batch.users.tolist(), drawn.tolist(), candidates.tolist(), strict=True):
        best = sorted(choice, key=lambda item: -float(product(users[user], items[item])))[:2]
        assert sorted(row) == sorted(best)
