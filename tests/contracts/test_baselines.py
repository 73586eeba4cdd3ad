from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.baselines import BASELINES, Baseline, ItemItem
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph
from gnnseg.ranking import top_k
from gnnseg.scoring import rebuild
from tests.contracts.hyperparameters import wrong_hyperparameters
from tests.graphs import from_dense, permutations, permuted, random_graph, with_another_edge, with_isolated

HOLDING_OUT = {"PolynomialFilter"}
"""Baselines that learn on edges held out at random: which ones depends on the order of the nodes.

They are exempt from permutations only while edges are held out; a test holds them to that.
"""

each_class = pytest.mark.parametrize("cls", BASELINES.classes().values(), ids=BASELINES.classes())
GRAPHS = {
    "random": random_graph(),
    "isolated": with_isolated(),
    "one item": from_dense(np.ones((3, 1))),
    "one user": from_dense(np.array([[1, 0, 1, 0]])),
}


def scores(baseline: Baseline, graph: BipartiteGraph) -> Tensor:
    return baseline.fit(graph).score(torch.arange(graph.num_users))


@each_class
@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_shapes_types_and_finite(cls: type[Baseline], graph: BipartiteGraph) -> None:
    scorer = cls().fit(graph)
    found = scorer.score(torch.arange(graph.num_users))
    assert scorer.num_items == graph.num_items
    assert found.shape == (graph.num_users, graph.num_items)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()


@each_class
def test_same_graph_same_scores(cls: type[Baseline]) -> None:
    assert torch.equal(scores(cls(), random_graph()), scores(cls(), random_graph()))


@each_class
def test_fitting_leaves_the_graph_as_it_is(cls: type[Baseline]) -> None:
    graph, untouched = random_graph(), random_graph()
    top_k(cls().fit(graph), np.arange(graph.num_users), 3, graph.biadjacency())
    assert torch.equal(graph.degrees, untouched.degrees)
    assert np.array_equal(graph.biadjacency().toarray(), untouched.biadjacency().toarray())


def scored_and_permuted(baseline: Baseline) -> tuple[Tensor, Tensor]:
    """The scores of a graph, its nodes permuted afterwards and beforehand."""
    graph = random_graph()
    users, items = permutations(graph)
    return scores(baseline, graph)[users][:, items], scores(baseline, permuted(graph, users, items))


@pytest.mark.parametrize("name", sorted(set(BASELINES.classes()) - HOLDING_OUT))
def test_permuting_nodes_permutes_the_scores(name: str) -> None:
    straight, other = scored_and_permuted(BASELINES.classes()[name]())
    torch.testing.assert_close(other, straight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(HOLDING_OUT))
@pytest.mark.parametrize("held_out", [0.0, 0.5])
def test_only_held_out_edges_depend_on_the_order(name: str, held_out: float) -> None:
    cls: type[Any] = BASELINES.classes()[name]
    straight, other = scored_and_permuted(cls(held_out=held_out))
    assert straight.any()
    assert torch.allclose(straight, other, rtol=1e-4, atol=1e-5) == (held_out == 0)


@each_class
def test_the_graph_changes_the_scores(cls: type[Baseline]) -> None:
    graph = random_graph()
    other, _, _ = with_another_edge(graph)
    assert (scores(cls(), graph) - scores(cls(), other)).abs().max() > 1e-4


@each_class
def test_a_run_can_hold_its_scorer(cls: type[Baseline]) -> None:
    graph = random_graph()
    scorer = cls().fit(graph)
    rebuilt = rebuild(scorer.kind, scorer.state_dict())
    assert torch.equal(rebuilt.score(torch.arange(11)), scorer.score(torch.arange(11)))


@each_class
def test_ranking_never_shows_what_was_seen(cls: type[Baseline]) -> None:
    graph = random_graph()
    scorer, users = cls().fit(graph), np.arange(graph.num_users)
    seen = graph.biadjacency().toarray()
    ranked, values = top_k(scorer, users, graph.num_items, graph.biadjacency())
    expected = scorer.score(torch.arange(graph.num_users)).numpy()
    for user in range(graph.num_users):
        finite = np.isfinite(values[user])
        assert finite.sum() == graph.num_items - seen[user].sum()
        assert not seen[user, ranked[user, finite]].any()
        assert np.array_equal(values[user, finite], expected[user, ranked[user, finite]])


@pytest.mark.parametrize(("cls", "name", "value"), wrong_hyperparameters(BASELINES))
def test_hyperparameter_out_of_range(cls: type[Baseline], name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*\(got {value!r}\)"):
        cls(**{name: value})
    with pytest.raises(ConfigError, match=rf"^baseline {cls.__name__}: '{name}'.*\(got {value!r}\)"):
        BASELINES.resolve({"name": cls.__name__, name: value})


WEIGHING: dict[str, tuple[str, dict[str, Any]]] = {
    "EASE": ("EASE", {"regularization": 3.0}),
    "EASE with dropout": ("EASE", {"regularization": 3.0, "dropout": 0.3, "user_exponent": 0.4}),
    "SparseEASE": ("SparseEASE", {"regularization": 3.0}),
    "ItemKNN": ("ItemKNN", {}),
    "ItemKNN, shrunk": ("ItemKNN", {"shrinkage": 0.5}),
    "RP3beta": ("RP3beta", {}),
    "RP3beta, other exponents": ("RP3beta", {"alpha": 0.7, "beta": 1.2}),
}
"""Item-item models, and settings under which a user who counts twice is as good as two users.

``EASE`` with ``item_exponent`` is none of them: it counts every user of an item once, whatever the weight.
"""


def weighing(name: str) -> ItemItem:
    cls, given = WEIGHING[name]
    made = BASELINES.create({"name": cls, **given})
    assert isinstance(made, ItemItem)
    return made


def dense(weights: Any) -> np.ndarray:
    return np.asarray(weights.todense() if sp.issparse(weights) else weights)


def test_every_item_item_model_can_weigh_users() -> None:
    item_item = {name for name, cls in BASELINES.classes().items() if issubclass(cls, ItemItem)}
    assert {name for name, _ in WEIGHING.values()} == item_item


@pytest.mark.parametrize("name", WEIGHING)
def test_a_user_who_counts_k_times_is_as_k_users(name: str) -> None:
    matrix = random_graph(25, 9).biadjacency()
    times = np.arange(25) % 4  # some do not count at all
    repeated = sp.csr_matrix(matrix[np.repeat(np.arange(25), times)])
    found = dense(weighing(name).item_weights(matrix, times.astype(np.float64)))
    np.testing.assert_allclose(found, dense(weighing(name).item_weights(repeated)), rtol=1e-5, atol=1e-7)
    alike = dense(weighing(name).item_weights(matrix))
    assert np.abs(found - alike).max() > 1e-3


@pytest.mark.parametrize("name", WEIGHING)
def test_users_who_count_alike(name: str) -> None:
    matrix = random_graph(25, 9).biadjacency()
    found = dense(weighing(name).item_weights(matrix, np.ones(25)))
    np.testing.assert_allclose(found, dense(weighing(name).item_weights(matrix)), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", WEIGHING)
def test_nobody_counts(name: str) -> None:
    matrix = random_graph(25, 9).biadjacency()
    assert not dense(weighing(name).item_weights(matrix, np.zeros(25))).any()
