from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.encoders import ENCODERS, Encoder, GraphEncoder
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings
from tests.contracts.hyperparameters import wrong_hyperparameters
from tests.graphs import permutations, permuted, random_graph, randomise, with_another_edge

WITHOUT_GRAPH = {"MatrixFactorization"}
"""Encoders whose vectors are their inputs, whatever the graph; a test holds them to it."""

HOLDING_OUT = {"SpectralFilter"}
"""Encoders that learn in ``warm_start`` on edges held out at random: which ones depends on their order.

Only fitting is exempt from permutations, and only while edges are held out; two tests hold them to that.
"""

FROM_FEATURES = {"TextMean"}
"""Encoders of item features and nothing else: they need them, and have nothing to train."""

GRAPH = random_graph()
FEATURES = torch.from_numpy(np.random.default_rng(0).normal(size=(GRAPH.num_items, 7))).float()
START: dict[str, dict[str, str]] = {
    "none": {},
    "init": {"features_as": "init"},
    "input": {"features_as": "input"},
    "both": {"features_as": "both"},
}

CLASSES = ENCODERS.classes()
WITH_TABLES = {name: cls for name, cls in CLASSES.items() if issubclass(cls, GraphEncoder)}
TRAINED = {name: cls for name, cls in CLASSES.items() if name not in FROM_FEATURES}
WITHOUT_TABLES = {name: cls for name, cls in TRAINED.items() if name not in WITH_TABLES}
PROPAGATING = {name: cls for name, cls in TRAINED.items() if name not in WITHOUT_GRAPH}
TABLES_PROPAGATING = {name: cls for name, cls in WITH_TABLES.items() if name not in WITHOUT_GRAPH}


def each(classes: dict[str, type[Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("cls", classes.values(), ids=classes)


def each_with_start(classes: dict[str, type[Any]]) -> pytest.MarkDecorator:
    """Each class without features, and those with tables with features in each role."""
    cases = {
        f"{name}-{start}": (cls, start)
        for name, cls in classes.items()
        for start in (START if name in WITH_TABLES else ["none"])
    }
    return pytest.mark.parametrize(("cls", "start"), cases.values(), ids=cases)


def fitting(cls: type[Any], features: Tensor) -> Tensor | None:
    """The features, for encoders that take any."""
    return features if cls in WITH_TABLES.values() or cls.__name__ in FROM_FEATURES else None


def build(cls: type[Any], start: str = "none", seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    features = None if start == "none" and cls.__name__ not in FROM_FEATURES else FEATURES
    return cls(GRAPH.num_users, GRAPH.num_items, features, **{"dim": 6, **START[start], **options})


def moved(cls: type[Any], start: str = "none") -> Any:
    """An encoder as training leaves it: started from the graph, then moved."""
    encoder = build(cls, start)
    encoder.warm_start(GRAPH)
    randomise(encoder)
    return encoder


def close(actual: Embeddings, expected: Embeddings) -> None:
    torch.testing.assert_close(actual.users, expected.users, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(actual.items, expected.items, rtol=1e-4, atol=1e-5)


@each(CLASSES)
def test_builds_with_defaults(cls: type[Encoder]) -> None:
    features = FEATURES if cls.__name__ in FROM_FEATURES else None
    encoder = cls(GRAPH.num_users, GRAPH.num_items, features)
    encoder.warm_start(GRAPH)
    embeddings = encoder(GRAPH)
    assert encoder.dim == 64
    assert embeddings.users.shape == (GRAPH.num_users, 64)
    assert embeddings.items.shape == (GRAPH.num_items, 64)
    assert repr(encoder).startswith(f"{cls.__name__}(")
    assert "dim=64" in repr(encoder)


@each_with_start(CLASSES)
def test_shapes_types_and_finite(cls: type[Encoder], start: str) -> None:
    encoder = build(cls, start)
    encoder.warm_start(GRAPH)
    for table, count in zip(encoder(GRAPH), (GRAPH.num_users, GRAPH.num_items), strict=True):
        assert table.shape == (count, 6)
        assert table.dtype == torch.float32
        assert torch.isfinite(table).all()
        assert (table.std(0) > 0).all()


@each_with_start(TRAINED)
def test_gradients_reach_every_parameter(cls: type[Encoder], start: str) -> None:
    encoder = moved(cls, start)
    embeddings = encoder(GRAPH)
    (embeddings.users @ embeddings.items.T).square().sum().backward()
    assert list(encoder.parameters())
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


@each_with_start(WITH_TABLES)
def test_gradients_reach_every_node(cls: type[GraphEncoder], start: str) -> None:
    encoder = moved(cls, start)
    sum(table.square().sum() for table in encoder(GRAPH)).backward()
    for table in (encoder.users, encoder.items):
        assert (table.weight.grad.abs().sum(1) > 0).all()


@each_with_start(CLASSES)
def test_same_seed_same_result(cls: type[Encoder], start: str) -> None:
    first, again, other = (build(cls, start, seed) for seed in (3, 3, 4))
    for encoder in (first, again, other):
        encoder.warm_start(GRAPH)
    assert all(map(torch.equal, first(GRAPH), again(GRAPH)))
    assert all(map(torch.equal, first(GRAPH), first(GRAPH)))
    if cls in WITH_TABLES.values() and start != "init":
        assert not torch.equal(first(GRAPH).users, other(GRAPH).users)


@each_with_start(CLASSES)
def test_permuting_nodes_permutes_the_output(cls: type[Encoder], start: str) -> None:
    """For given parameters: those of users and items, by their number of rows, move with them."""
    encoder, other = moved(cls, start), build(cls, start, seed=9)
    users, items = permutations(GRAPH)
    order = {GRAPH.num_users: torch.from_numpy(users), GRAPH.num_items: torch.from_numpy(items)}
    state = encoder.state_dict()
    of_nodes = [name for name, tensor in state.items() if len(tensor) in order]
    assert of_nodes
    other.load_state_dict(state | {name: state[name][order[len(state[name])]] for name in of_nodes})
    straight = encoder(GRAPH)
    close(other(permuted(GRAPH, users, items)), Embeddings(straight.users[users], straight.items[items]))


def fitted_and_permuted(cls: type[Any], **options: Any) -> tuple[Embeddings, Embeddings]:
    """What an encoder starts from, its nodes permuted afterwards and beforehand."""
    users, items = permutations(GRAPH)
    found = []
    for graph, features in ((GRAPH, FEATURES), (permuted(GRAPH, users, items), FEATURES[items])):
        torch.manual_seed(0)
        encoder = cls(GRAPH.num_users, GRAPH.num_items, fitting(cls, features), **{"dim": 5, **options})
        encoder.warm_start(graph)
        found.append(encoder(graph))
    return Embeddings(found[0].users[users], found[0].items[items]), found[1]


@each({name: cls for name, cls in CLASSES.items() if name not in HOLDING_OUT})
def test_permuting_nodes_permutes_what_is_fitted(cls: type[Encoder]) -> None:
    close(*fitted_and_permuted(cls))


@each({name: CLASSES[name] for name in sorted(HOLDING_OUT)})
@pytest.mark.parametrize("held_out", [0.0, 0.5])
def test_only_held_out_edges_depend_on_the_order(cls: type[Encoder], held_out: float) -> None:
    straight, other = (e.users @ e.items.T for e in fitted_and_permuted(cls, held_out=held_out))
    assert torch.allclose(straight, other, rtol=1e-4, atol=1e-5) == (held_out == 0)


@each(WITH_TABLES)
def test_permuting_items_permutes_their_start(cls: type[GraphEncoder]) -> None:
    """Principal components and warm starts are of the items, not of their order."""
    users, items = permutations(GRAPH)
    other = cls(GRAPH.num_users, GRAPH.num_items, FEATURES[items], dim=5)
    straight = cls(GRAPH.num_users, GRAPH.num_items, FEATURES, dim=5)
    straight.warm_start(GRAPH)
    other.warm_start(permuted(GRAPH, users, items))
    torch.testing.assert_close(other.items.weight, straight.items.weight[items], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(other.users.weight, straight.users.weight[users], rtol=1e-4, atol=1e-5)


@each_with_start(CLASSES)
def test_state_dict_round_trip(cls: type[Encoder], start: str) -> None:
    encoder, other = moved(cls, start), build(cls, start, seed=5)
    other.load_state_dict({name: tensor.clone() for name, tensor in encoder.state_dict().items()})
    assert all(map(torch.equal, encoder(GRAPH), other(GRAPH)))


@each(WITH_TABLES)
@pytest.mark.parametrize("start", ["init", "input", "both"])
def test_state_dict_holds_what_is_needed_of_the_features(cls: type[GraphEncoder], start: str) -> None:
    """A run is read back without its texts: zeros stand in for the features, the state has the rest."""
    encoder = moved(cls, start)
    other = cls(GRAPH.num_users, GRAPH.num_items, torch.zeros_like(FEATURES), dim=6, **START[start])
    other.load_state_dict(encoder.state_dict())
    assert all(map(torch.equal, encoder(GRAPH), other(GRAPH)))


@each_with_start(PROPAGATING)
def test_the_graph_changes_users_and_items(cls: type[Encoder], start: str) -> None:
    encoder = moved(cls, start)
    other, user, item = with_another_edge(GRAPH)
    before, after = encoder(GRAPH), encoder(other)
    assert (after.users[user] - before.users[user]).abs().max() > 1e-3
    assert (after.items[item] - before.items[item]).abs().max() > 1e-3


@each(TABLES_PROPAGATING)
def test_news_travels_from_items_to_users_and_back(cls: type[GraphEncoder]) -> None:
    encoder = moved(cls)
    links = torch.from_numpy(GRAPH.biadjacency().toarray()) > 0
    embeddings = encoder(GRAPH)
    for user in range(GRAPH.num_users):
        grad = torch.autograd.grad(embeddings.users[user].sum(), encoder.items.weight, retain_graph=True)[0]
        assert (grad.abs().sum(1)[links[user]] > 0).all()
    for item in range(GRAPH.num_items):
        grad = torch.autograd.grad(embeddings.items[item].sum(), encoder.users.weight, retain_graph=True)[0]
        assert (grad.abs().sum(1)[links[:, item]] > 0).all()


@pytest.mark.parametrize("name", sorted(WITHOUT_GRAPH))
@pytest.mark.parametrize("start", START)
def test_without_a_graph_the_vectors_are_the_inputs(name: str, start: str) -> None:
    encoder = moved(CLASSES[name], start)
    other, _, _ = with_another_edge(GRAPH)
    for graph in (GRAPH, other):
        assert torch.equal(torch.cat(encoder(graph)), encoder.inputs())


@each(WITHOUT_TABLES)
def test_without_tables_item_features_are_refused(cls: type[Any]) -> None:
    """There is nothing that they could be the start of; silently unused they must not be."""
    with pytest.raises(ConfigError, match=rf"^{cls.__name__} takes no item features; leave out 'text'$"):
        cls(GRAPH.num_users, GRAPH.num_items, FEATURES)


@each(WITH_TABLES)
def test_features_matter(cls: type[GraphEncoder]) -> None:
    for start in ("init", "input", "both"):
        torch.manual_seed(0)
        other = cls(GRAPH.num_users, GRAPH.num_items, FEATURES.flip(0), dim=6, **START[start])
        assert not torch.allclose(build(cls, start)(GRAPH).items, other(GRAPH).items)


@each_with_start(CLASSES)
def test_fold_in_of_users_who_were_not_there(cls: type[Encoder], start: str) -> None:
    encoder = build(cls, start)
    encoder.warm_start(GRAPH)
    histories = sp.csr_matrix(
        np.array([[1, 0, 0, 1, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0, 0, 0], [0] * 8], dtype=np.float32)
    )
    vectors = encoder.fold_in(GRAPH, histories)
    assert vectors.shape == (3, 6)
    assert vectors.dtype == torch.float32
    assert not vectors.requires_grad
    assert torch.isfinite(vectors).all()
    assert not torch.allclose(vectors[0], vectors[1])
    alone = torch.cat([encoder.fold_in(GRAPH, histories[row]) for row in range(3)])
    torch.testing.assert_close(vectors, alone)


@each(CLASSES)
def test_fold_in_scores_by_history(cls: type[Encoder]) -> None:
    """In a graph of two halves, a new user of one half scores that half's items above the other's."""
    matrix = np.kron(np.eye(2), np.ones((8, 4)))
    graph = BipartiteGraph(sp.csr_matrix(matrix.astype(np.float32)))
    features = torch.from_numpy(np.kron(np.eye(2), np.ones((4, 1)))).float()
    encoder = cls(16, 8, fitting(cls, features), dim=2)  # type: ignore[call-arg]
    encoder.warm_start(graph)
    new = encoder.fold_in(graph, sp.csr_matrix(np.array([[1, 1, 0, 0, 0, 0, 0, 0]], dtype=np.float32)))
    scores = (new @ encoder(graph).items.T).squeeze(0)
    assert scores[:4].min() > scores[4:].max()


@each(CLASSES)
def test_training_mode_without_dropout_changes_nothing(cls: type[Encoder]) -> None:
    encoder = build(cls)
    trained: Tensor = encoder.train()(GRAPH).users
    assert torch.equal(trained, encoder.eval()(GRAPH).users)


@pytest.mark.parametrize(("cls", "name", "value"), wrong_hyperparameters(ENCODERS))
def test_hyperparameter_out_of_range(cls: type[Encoder], name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*\(got {value!r}\)"):
        build(cls, **{name: value})
    with pytest.raises(ConfigError, match=rf"^encoder {cls.__name__}: '{name}'.*\(got {value!r}\)"):
        ENCODERS.resolve({"name": cls.__name__, name: value})
