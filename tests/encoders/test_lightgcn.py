from __future__ import annotations

from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from gnnseg.config import Schedule
from gnnseg.encoders import LightGCN
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph
from gnnseg.losses import BPR
from gnnseg.model import SegmentRecommender
from gnnseg.training import start_training, train
from tests.graphs import (
    dense_adjacency,
    dense_normalised,
    from_dense,
    random_graph,
    random_matrix,
    with_isolated,
)


@pytest.mark.parametrize("num_layers", [0, 1, 2, 3])
@pytest.mark.parametrize("graph", [random_graph(), with_isolated()], ids=["random", "isolated"])
def test_equals_lightgcn_of_pyg(pyg: ModuleType, graph: BipartiteGraph, num_layers: int) -> None:
    encoder = LightGCN(graph.num_users, graph.num_items, dim=5, num_layers=num_layers)
    oracle = pyg.LightGCN(graph.num_nodes, 5, num_layers)
    with torch.no_grad():
        oracle.embedding.weight.copy_(encoder.inputs())
    expected = oracle.get_embedding(dense_adjacency(graph).nonzero().T)
    found = graph.stack(encoder(graph))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    upstream = torch.randn_like(found)
    (found * upstream).sum().backward()
    (expected * upstream).sum().backward()
    grad = torch.cat([encoder.users.weight.grad, encoder.items.weight.grad])
    torch.testing.assert_close(grad, oracle.embedding.weight.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_fold_in_is_a_user_in_the_graph_with_a_zero_input(num_layers: int) -> None:
    graph = random_graph()
    encoder = LightGCN(11, 8, dim=5, num_layers=num_layers)
    with torch.no_grad():
        encoder.users.weight[[3, 7]] = 0
    expected = encoder(graph).users
    found = encoder.fold_in(graph, graph.biadjacency()[[3, 7]])
    torch.testing.assert_close(found[0], expected[3], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[1], expected[7], rtol=1e-5, atol=1e-6)


def test_fold_in_points_where_the_trained_user_does() -> None:
    graph = from_dense(random_matrix(40, 20, density=0.3))
    encoder = LightGCN(40, 20, dim=8)
    model, schedule = SegmentRecommender(encoder), Schedule(epochs=15, learning_rate=0.03, batch_size=256)
    state = start_training(model, schedule, torch.Generator().manual_seed(0))
    list(train(model, graph, BPR(), schedule, state))
    found, trained = encoder.fold_in(graph, graph.biadjacency()), encoder(graph).users
    own = F.cosine_similarity(found, trained)
    others = F.cosine_similarity(found, trained.roll(1, 0))
    assert own.mean() > 0.9
    assert own.mean() > others.mean() + 0.2


def test_without_layers_fold_in_still_uses_the_items() -> None:
    graph, encoder = random_graph(), LightGCN(11, 8, dim=5, num_layers=0)
    found = encoder.fold_in(graph, graph.biadjacency()[[2]])
    liked = graph.biadjacency()[2].indices
    weights = graph.unstack(graph.degrees).items[liked].rsqrt() / len(liked) ** 0.5
    torch.testing.assert_close(found[0], weights @ encoder.items.weight[liked])


def encoder_of(graph: BipartiteGraph, **options: Any) -> LightGCN:
    torch.manual_seed(0)
    return LightGCN(graph.num_users, graph.num_items, dim=5, **options)


@pytest.mark.parametrize("num_layers", [1, 3])
def test_without_its_input_it_is_the_mean_of_the_propagated_layers(num_layers: int) -> None:
    graph = random_graph()
    encoder = encoder_of(graph, num_layers=num_layers, include_input=False)
    dense, x = dense_normalised(graph), encoder.inputs().double()
    powers = [torch.linalg.matrix_power(dense, k) @ x for k in range(1, num_layers + 1)]
    expected = torch.stack(powers).mean(0).float()
    torch.testing.assert_close(graph.stack(encoder(graph)), expected, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        encoder.users.weight[3] = 0
    found = encoder.fold_in(graph, graph.biadjacency()[[3]])
    torch.testing.assert_close(found[0], encoder(graph).users[3], rtol=1e-4, atol=1e-6)


def test_neither_input_nor_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs a layer \(got num_layers 0\); raise num_layers"):
        LightGCN(3, 4, num_layers=0, include_input=False)


@pytest.mark.parametrize("include_input", [True, False])
def test_layers_combined_are_the_result(include_input: bool) -> None:
    graph = random_graph()
    encoder = encoder_of(graph, include_input=include_input)
    layers = encoder.layers(graph)
    dense = dense_normalised(graph).float()
    assert torch.equal(layers[0], encoder.inputs())
    for below, layer in pairwise(layers):
        torch.testing.assert_close(layer, dense @ below)
    for found, expected in zip(encoder.combine(graph, layers), encoder(graph), strict=True):
        torch.testing.assert_close(found, expected)


def test_what_perturbs_a_layer_travels_on() -> None:
    graph = random_graph()
    encoder = encoder_of(graph, num_layers=2)
    layers = encoder.layers(graph, lambda layer: layer + 1)
    dense = dense_normalised(graph).float()
    torch.testing.assert_close(layers[1], dense @ encoder.inputs() + 1)
    torch.testing.assert_close(layers[2], dense @ layers[1] + 1)


def test_edge_dropout_is_propagation_on_a_graph_with_fewer_edges() -> None:
    graph = random_graph()
    encoder = encoder_of(graph, edge_dropout=0.3, num_layers=2).train()
    torch.manual_seed(5)
    matrix = graph.dropped(0.3).to_dense()
    torch.manual_seed(5)
    found = graph.stack(encoder(graph))
    x = encoder.inputs()
    torch.testing.assert_close(found, (x + matrix @ x + matrix @ (matrix @ x)) / 3)
    assert not torch.equal(found, graph.stack(encoder(graph)))
    torch.manual_seed(5)
    torch.testing.assert_close(graph.stack(encoder.combine(graph, encoder.layers(graph))), found)


@pytest.mark.parametrize("option", ["edge_dropout", "message_dropout"])
def test_dropout_is_for_training_and_right_on_average(option: str) -> None:
    graph = random_graph()
    encoder, plain = (encoder_of(graph, num_layers=1, **given) for given in ({option: 0.4}, {}))
    expected = graph.stack(plain(graph))
    assert torch.equal(graph.stack(encoder.eval()(graph)), expected)
    encoder.train()
    passes = torch.stack([graph.stack(encoder(graph)).detach() for _ in range(3000)])
    assert (passes.std(0) > 0).any()
    error = passes.std(0) / 3000**0.5
    assert ((passes.mean(0) - expected).abs() <= 5 * error + 1e-6).all()
    assert torch.equal(encoder.fold_in(graph, graph.biadjacency()), plain.fold_in(graph, graph.biadjacency()))


def test_message_dropout_zeroes_a_share_of_each_layer() -> None:
    graph = from_dense(random_matrix(40, 30))
    encoder = encoder_of(graph, message_dropout=0.3, num_layers=2).train()
    for layer in encoder.layers(graph)[1:]:
        assert float((layer == 0).double().mean()) == pytest.approx(0.3, abs=0.1)
    assert (encoder.layers(graph)[0] != 0).all()


@pytest.mark.parametrize("option", ["edge_dropout", "message_dropout"])
def test_gradients_with_dropout(option: str) -> None:
    """Along a direction, against the difference of two passes with the same edges and messages left out."""
    graph = random_graph()
    encoder = encoder_of(graph, **{option: 0.4}).double().train()
    graph.adjacency = graph.adjacency.double()

    def value() -> torch.Tensor:
        torch.manual_seed(5)
        return graph.stack(encoder(graph)).sin().sum()

    value().backward()
    weight, direction = encoder.items.weight, torch.randn_like(encoder.items.weight)
    slope = float((weight.grad * direction).sum())
    with torch.no_grad():
        ends = []
        for sign in (1, -1):
            weight += sign * 1e-5 * direction
            ends.append(value())
            weight -= sign * 1e-5 * direction
    assert float(ends[0] - ends[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)
