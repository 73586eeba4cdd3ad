"""What every local model keeps to, whatever it learns of a segment."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph
from gnnseg.local import LOCAL_MODELS, LocalModel
from gnnseg.scoring import LocalScorer, rebuild
from tests.contracts.hyperparameters import wrong_hyperparameters
from tests.graphs import permuted, random_graph, with_another_edge, with_isolated

USERS, ITEMS, SEGMENTS = 24, 10, 3
GRAPH = random_graph(USERS, ITEMS)
CASES: dict[str, dict[str, Any]] = {
    "Lift": {"name": "Lift"},
    "LocalItems": {"name": "LocalItems"},
    "LocalItems, few": {"name": "LocalItems", "num_neighbors": 4, "width": 0.0},
    "LocalItems, sparse": {"name": "LocalItems", "model": {"name": "SparseEASE", "num_neighbors": 6}},
    "LocalItems of neighbours": {"name": "LocalItems", "model": {"name": "ItemKNN", "num_neighbors": 9}},
    "LocalItems of walks": {"name": "LocalItems", "model": {"name": "RP3beta", "num_neighbors": 9}},
}
each = pytest.mark.parametrize("name", CASES)


def memberships(users: int = USERS, segments: int = SEGMENTS) -> Tensor:
    return torch.softmax(2 * torch.randn(users, segments), dim=1)


def make(name: str) -> LocalModel:
    return LOCAL_MODELS.create(CASES[name])


def fitted(name: str, shares: Tensor, graph: BipartiteGraph = GRAPH) -> LocalScorer:
    return make(name).fit(graph, shares)


def scores(name: str, shares: Tensor, graph: BipartiteGraph = GRAPH) -> Tensor:
    return fitted(name, shares, graph).score(torch.arange(len(shares)))


def test_every_local_model_is_tested() -> None:
    assert {spec["name"] for spec in CASES.values()} == set(LOCAL_MODELS.classes())


@pytest.mark.parametrize("name", LOCAL_MODELS.classes())
def test_builds_with_defaults(name: str) -> None:
    shares = memberships()
    found = LOCAL_MODELS.create(name).fit(GRAPH, shares).score(torch.tensor([5, 0]))
    assert found.shape == (2, ITEMS)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()


@each
def test_users_in_no_segment_get_exactly_nothing(name: str) -> None:
    shares = memberships()
    shares[[2, 7]] = 0
    nothing = ~scores(name, shares).any(dim=1)
    assert nothing.nonzero().flatten().tolist() == [2, 7]


@each
def test_nobody_in_any_segment(name: str) -> None:
    assert not scores(name, torch.zeros(USERS, SEGMENTS)).any()


@each
def test_an_empty_segment_is_finite_and_changes_nothing(name: str) -> None:
    shares = memberships()
    found = scores(name, torch.cat([shares, torch.zeros(USERS, 1)], dim=1))
    torch.testing.assert_close(found, scores(name, shares))


@each
def test_renaming_segments_changes_nothing(name: str) -> None:
    shares = memberships()
    torch.testing.assert_close(scores(name, shares[:, [2, 0, 1]]), scores(name, shares), rtol=1e-4, atol=1e-5)


@each
def test_permuting_users_and_items_permutes_the_scores(name: str) -> None:
    shares, users, items = memberships(), torch.randperm(USERS), torch.randperm(ITEMS)
    graph = permuted(GRAPH, users.numpy(), items.numpy())
    found, expected = scores(name, shares[users], graph), scores(name, shares)[users][:, items]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@each
def test_same_data_same_result_whatever_the_global_state(name: str) -> None:
    shares, found = memberships(), []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002 - the global state must not matter
        torch.manual_seed(seed)
        found.append(scores(name, shares))
    assert torch.equal(*found)


@each
def test_the_graph_changes_the_scores(name: str) -> None:
    shares = memberships()
    other, _, _ = with_another_edge(GRAPH)
    assert (scores(name, shares) - scores(name, shares, other)).abs().max() > 1e-4


@each
def test_memberships_change_the_scores(name: str) -> None:
    shares = memberships()
    other = shares.clone()
    other[4] = other[4].roll(1)
    changed = (scores(name, shares) - scores(name, other)).abs().amax(1)
    assert changed[4] > 1e-4


@each
def test_the_given_is_left_as_it_is(name: str) -> None:
    shares, links = memberships(), GRAPH.biadjacency().copy()
    copy = shares.clone()
    fitted(name, shares).score(torch.arange(USERS)).fill_(torch.nan)
    assert torch.equal(shares, copy)
    after = GRAPH.biadjacency()
    assert all(np.array_equal(getattr(after, p), getattr(links, p)) for p in ("data", "indices", "indptr"))


@each
@pytest.mark.parametrize("segments", [1, 3])
def test_users_and_items_without_links(name: str, segments: int) -> None:
    graph = with_isolated()
    found = scores(name, memberships(graph.num_users, segments), graph)
    assert torch.isfinite(found).all()
    if name != "Lift":
        assert not found[1].any()  # knows users by their histories, and this one has none


@each
def test_a_run_can_hold_its_scorer(name: str) -> None:
    scorer = fitted(name, memberships())
    found = rebuild(scorer.kind, scorer.state_dict())
    assert isinstance(found, LocalScorer)
    assert torch.equal(found.score(torch.arange(USERS)), scorer.score(torch.arange(USERS)))


@each
def test_others_with_a_known_history_and_memberships_get_that_users_scores(name: str) -> None:
    shares = memberships()
    shares[9] = 0
    scorer, users = fitted(name, shares), [9, 3, 17]
    histories = GRAPH.biadjacency()[users]
    parts = (torch.from_numpy(part).long() for part in (histories.indptr, histories.indices))
    found = scorer.of(shares[users], *parts).score(torch.arange(3))
    torch.testing.assert_close(found, scorer.score(torch.tensor(users)))


@pytest.mark.parametrize(("cls", "name", "value"), wrong_hyperparameters(LOCAL_MODELS))
def test_hyperparameter_out_of_range(cls: type[LocalModel], name: str, value: object) -> None:
    told = rf"unknown baseline {value!r}" if name == "model" else rf"'{name}'.*\(got {value!r}\)"
    with pytest.raises(ConfigError, match=rf"^local model {cls.__name__}: {told}"):
        LOCAL_MODELS.resolve({"name": cls.__name__, name: value})
