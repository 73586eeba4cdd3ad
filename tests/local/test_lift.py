from __future__ import annotations

import math

import pytest
import torch

from gnnseg.local import Lift
from gnnseg.segments import OneSegment
from tests.graphs import random_graph, with_isolated
from tests.segments.planted import fit, plant

GRAPH = random_graph(30, 8)


@pytest.mark.parametrize("prior", [0.1, 10.0, 1000.0])
def test_log_of_shrunk_shares(prior: float) -> None:
    """By counting users one by one."""
    shares = torch.softmax(torch.randn(30, 3), dim=1)
    shares[4] = 0
    links = GRAPH.biadjacency().toarray()
    total = links.sum()
    found = Lift(prior=prior).fit(GRAPH, shares).score(torch.arange(30))
    lift = {}
    for segment in range(3):
        members = [float(share) for share in shares[:, segment]]
        size = sum(p * float(row.sum()) for p, row in zip(members, links, strict=True))
        for item in range(8):
            inside = sum(p * float(row[item]) for p, row in zip(members, links, strict=True))
            expected = size / total * links[:, item].sum()
            lift[segment, item] = math.log((inside + prior) / (expected + prior))
    for user in range(30):
        for item in range(8):
            expected = sum(float(shares[user, s]) * lift[s, item] for s in range(3))
            assert float(found[user, item]) == pytest.approx(expected, abs=1e-5)


def test_one_segment_is_exactly_zero() -> None:
    planted = plant()
    shares = fit(OneSegment(), planted).memberships
    assert not Lift().fit(planted.graph, shares).score(torch.arange(90)).any()
    shares = fit(OneSegment(copies=3), planted).memberships
    found = Lift().fit(planted.graph, shares).score(torch.arange(90))
    torch.testing.assert_close(found, torch.zeros(90, 60), rtol=0, atol=1e-6)


def test_an_item_without_users_says_nothing() -> None:
    shares = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    found = Lift().fit(with_isolated(), shares).score(torch.arange(4))
    assert found[:, 2].tolist() == [0, 0, 0, 0]


def test_planted_items_come_first() -> None:
    planted = plant()
    shares = torch.nn.functional.one_hot(torch.from_numpy(planted.groups)).float()
    found = Lift().fit(planted.graph, shares).score(torch.arange(90))
    links = torch.from_numpy(planted.graph.biadjacency().toarray())
    for group in range(3):
        of_group = links[planted.groups == group].mean(0) > 0.2
        lifts = found[torch.from_numpy(planted.groups == group)][0]
        assert lifts[of_group].min() > 0 > lifts[~of_group].max()
    assert Lift(prior=1000).fit(planted.graph, shares).lift.abs().max() < found.abs().max() / 10
