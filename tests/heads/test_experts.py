from __future__ import annotations

from typing import Any

import pytest
import torch

from gnnseg.errors import ConfigError
from gnnseg.graph import Embeddings
from gnnseg.heads import Experts
from tests.graphs import random_graph, randomise

GRAPH = random_graph(5, 4)


def made(**given: Any) -> tuple[Experts, Embeddings, torch.Tensor]:
    memberships = torch.softmax(torch.randn(5, 3), 1)
    head = Experts(6, 3, **given)
    head.bind(GRAPH, memberships)
    randomise(head)
    return head, Embeddings(torch.randn(5, 6), torch.randn(4, 6)), memberships


@pytest.mark.parametrize("given", [{"rank": 2}, {"rank": 2, "bias": False}, {"rank": 0}])
def test_formula_pair_by_pair(given: dict[str, Any]) -> None:
    head, (users, items), shares = made(**given)
    head.requires_grad_(False)
    found = head(Embeddings(users, items), shares)
    found_scores = found.users @ found.items.T
    for user in range(5):
        for item in range(4):
            expected = float(users[user] @ items[item])
            for s in range(3):
                local = 0.0
                if head.maps is not None and head.items is not None:
                    local += float(users[user] @ head.maps[s] @ head.items[s, item])
                if head.biases is not None:
                    local += float(head.biases[s, item])
                expected += float(shares[user, s]) * local
            assert float(found_scores[user, item]) == pytest.approx(expected, abs=1e-4)


def test_only_the_maps_start_at_random() -> None:
    head = Experts(64, 5, rank=8)
    head.bind(GRAPH, torch.ones(5, 5) / 5)
    assert {name: tuple(p.shape) for name, p in head.named_parameters()} == {
        "maps": (5, 64, 8),
        "items": (5, 4, 8),
        "biases": (5, 4),
    }
    assert not head.items.any()
    assert not head.biases.any()
    assert head.maps.std().item() == pytest.approx(1 / 8, rel=0.05)


def test_biases_alone_are_a_rank_one_table() -> None:
    head, start, shares = made(rank=0)
    assert [name for name, _ in head.named_parameters()] == ["biases"]
    found = head(start, shares)
    correction = (found.users @ found.items.T - start.users @ start.items.T).detach()
    torch.testing.assert_close(correction, shares @ head.biases.detach(), rtol=1e-4, atol=1e-5)


def test_neither_table_nor_bias() -> None:
    with pytest.raises(ConfigError, match=r"Experts without 'bias' needs a positive 'rank' \(got 0\)"):
        Experts(6, 3, rank=0, bias=False)
