from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.batch import Batch, distinct, marked
from gnnseg.graph import Embeddings
from tests.graphs import random_graph

GRAPH = random_graph()
USERS, ITEMS = (
    torch.from_numpy(part) for part in np.argwhere(GRAPH.biadjacency().toarray())[[3, 9, 1, 4, 20, 2]].T
)


def tables() -> Embeddings:
    return Embeddings(torch.randn(GRAPH.num_users, 5), torch.randn(GRAPH.num_items, 5))


def test_pairs_keep_their_order_and_users_stand_once() -> None:
    batch = Batch.of(GRAPH, USERS, ITEMS)
    assert len(batch.users) == len(set(USERS.tolist())) < len(USERS)
    assert torch.equal(batch.users[batch.place], USERS)
    assert torch.equal(batch.items, ITEMS)
    assert batch.negatives.shape == (len(batch.users), 0)
    assert batch.log_q is None


def test_off_the_cpu_a_user_stands_once_a_pair() -> None:
    """Finding the different ones would wait for the device; the meta device cannot do it at all."""
    batch = Batch.of(GRAPH, USERS.to("meta"), ITEMS.to("meta"))
    assert batch.users.shape == batch.place.shape == (6,)
    assert batch.negatives.shape == (6, 0)
    assert batch.place.device.type == "meta"
    rows, counts = distinct(USERS.to("meta"))
    assert rows.shape == (6,)
    assert counts is not None
    assert counts.shape == (6,)


def test_scores_pair_by_pair() -> None:
    batch, (users, items) = Batch.of(GRAPH, USERS, ITEMS), tables()
    drawn = torch.randint(GRAPH.num_items, (len(batch.users), 4))
    positive, negative = batch.against(drawn).scores(Embeddings(users, items))
    rows = batch.users.tolist()
    for n, (user, item) in enumerate(zip(USERS.tolist(), ITEMS.tolist(), strict=True)):
        assert float(positive[n]) == pytest.approx(float(users[user] @ items[item]), rel=1e-5)
        expected = items[drawn[rows.index(user)]] @ users[user]
        torch.testing.assert_close(negative[n], expected)


def test_users_once_a_pair_score_the_same() -> None:
    batch, both = Batch.of(GRAPH, USERS, ITEMS), tables()
    batch = batch.against(torch.randint(GRAPH.num_items, (len(batch.users), 4)))
    apart = Batch(GRAPH, USERS, torch.arange(6), ITEMS, batch.negatives[batch.place])
    for one, other in zip(batch.scores(both), apart.scores(both), strict=True):
        torch.testing.assert_close(one, other)


def test_scores_by_another_product() -> None:
    """A distance, of vectors of users that are one coordinate longer."""

    def product(users: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return (users[..., :5] - items).square().sum(-1) + users[..., 5]

    users, items = torch.randn(GRAPH.num_users, 6), torch.randn(GRAPH.num_items, 5)
    batch = Batch.of(GRAPH, USERS, ITEMS, product)
    drawn = torch.randint(GRAPH.num_items, (len(batch.users), 4))
    positive, negative = batch.against(drawn).scores(Embeddings(users, items))
    rows = batch.users.tolist()
    for n, (user, item) in enumerate(zip(USERS.tolist(), ITEMS.tolist(), strict=True)):
        assert float(positive[n]) == pytest.approx(float(product(users[user], items[item])), rel=1e-5)
        torch.testing.assert_close(negative[n], product(users[user], items[drawn[rows.index(user)]]))


def test_without_drawn_items_there_are_no_scores_of_them() -> None:
    positive, negative = Batch.of(GRAPH, USERS, ITEMS).scores(tables())
    assert positive.shape == (6,)
    assert negative.shape == (6, 0)


@pytest.mark.parametrize("rows", [[5], [3, 3, 3], [4, 1, 4, 0, 1, 9]])
def test_marked_rows_are_the_different_ones(rows: list[int]) -> None:
    found, first = marked(torch.tensor(rows))
    assert found.tolist() == sorted(rows)
    assert found[first].tolist() == sorted(set(rows))
    once, counts = distinct(torch.tensor(rows))
    assert once.tolist() == sorted(set(rows))
    assert counts is None
