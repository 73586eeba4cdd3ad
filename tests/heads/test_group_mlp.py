from __future__ import annotations

import pytest
import torch
from torch import nn

from gnnseg.graph import Embeddings
from gnnseg.heads import GroupMLP
from tests.graphs import randomise


@pytest.mark.parametrize("add_global", [True, False])
def test_formula_by_networks_of_torch(add_global: bool) -> None:
    head = GroupMLP(6, 3, hidden=5, add_global=add_global)
    randomise(head)
    users, items, memberships = torch.randn(4, 6), torch.randn(7, 6), torch.softmax(torch.randn(4, 3), 1)
    memberships[1] = 0
    expected = users @ items.T
    if not add_global:
        expected = expected * torch.tensor([[0.0], [1.0], [0.0], [0.0]])
    for s in range(3):
        first, second = nn.Linear(6, 5), nn.Linear(5, 1)
        first.weight.data, first.bias.data = head.hidden[s].T, head.hidden_bias[s]
        second.weight.data, second.bias.data = head.output[s : s + 1], head.output_bias[s : s + 1]
        network = nn.Sequential(first, nn.Tanh(), second)
        for user in range(4):
            expected[user] += memberships[user, s] * network(users[user] * items).squeeze(1)
    found = head(Embeddings(users, items), memberships)
    rows = torch.tensor([3, 0, 1, 2, 3])
    torch.testing.assert_close(head.scorer(found).score(rows), expected[rows], rtol=1e-4, atol=1e-5)
    pairs = head.product(found.users.unsqueeze(1), found.items)
    torch.testing.assert_close(pairs, expected, rtol=1e-4, atol=1e-5)


def test_the_sizes_that_articles_give() -> None:
    head = GroupMLP(64, 5)
    per_group = 64 * 128 + 128 + 128 + 1
    assert sum(parameter.numel() for parameter in head.parameters()) == 5 * per_group


def test_on_their_own_all_networks_start_at_zero() -> None:
    head, shares = GroupMLP(6, 3, add_global=False), torch.softmax(torch.randn(4, 3), 1)
    found = head(Embeddings(torch.randn(4, 6), torch.randn(7, 6)), shares)
    assert not head.scorer(found).score(torch.arange(4)).any()


def test_later_training_leaves_a_scorer_as_it_was() -> None:
    head, shares = GroupMLP(6, 3), torch.softmax(torch.randn(4, 3), 1)
    scorer = head.scorer(head(Embeddings(torch.randn(4, 6), torch.randn(7, 6)), shares))
    before = scorer.score(torch.arange(4))
    randomise(head)
    assert torch.equal(scorer.score(torch.arange(4)), before)
