from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.errors import ConfigError
from gnnseg.heads import FiLM, LoRA, Shared, SubgraphPropagation, prune
from tests.graphs import random_graph, randomise


@pytest.mark.parametrize(("share", "left"), [(0, 36), (0.5, 18), (0.9, 4), (0.99, 2), (1, 0)])
def test_the_smallest_of_each_parameter_go(share: float, left: int) -> None:
    head = FiLM(6, 3)
    randomise(head)
    pruned, kept = prune(head, share)
    assert kept == left / 36
    for before, after in zip(head.parameters(), pruned.parameters(), strict=True):
        given, found = before.detach().numpy().ravel(), after.detach().numpy().ravel()
        expected = given.copy()
        expected[np.argsort(np.abs(given))[: int(share * 18)]] = 0
        assert np.array_equal(found, expected)


def test_the_given_head_stays() -> None:
    head = LoRA(6, 3)
    randomise(head)
    before = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    pruned, _ = prune(head, 0.9)
    assert all(torch.equal(tensor, before[name]) for name, tensor in head.state_dict().items())
    assert not torch.equal(pruned.state_dict()["down"], before["down"])


def test_factors_of_other_scales_lose_the_same_share() -> None:
    head = LoRA(8, 2, rank=2)
    torch.nn.init.normal_(head.up, std=1e-6)
    pruned, _ = prune(head, 0.5)
    assert {name: int(p.count_nonzero()) for name, p in pruned.named_parameters()} == {"down": 16, "up": 16}


def test_zeros_are_not_kept() -> None:
    assert prune(LoRA(8, 2, rank=2), 0).kept == 0.5


def test_heads_with_a_graph_and_without_parameters() -> None:
    graph = random_graph(5, 4)
    head = SubgraphPropagation(6, 2)
    head.bind(graph, torch.full((5, 2), 0.5))
    torch.nn.init.constant_(head.gates, 2.0)
    assert prune(head, 0.5).kept == 0.5
    assert prune(Shared(6, 2), 0.5).kept == 1


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_share_out_of_range(share: float) -> None:
    with pytest.raises(ConfigError, match=rf"'share' must be between 0 and 1 \(got {share}\)"):
        prune(FiLM(6, 3), share)
