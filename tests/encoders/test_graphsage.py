from __future__ import annotations

from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from gnnseg.encoders import GraphSAGE
from gnnseg.graph import BipartiteGraph
from tests.graphs import dense_adjacency, random_graph, randomise, with_isolated


def oracle_layers(pyg: ModuleType, encoder: GraphSAGE) -> list[nn.Module]:
    layers = []
    for neighbours, self_map in zip(encoder.neighbours, encoder.self_maps, strict=True):
        layer = pyg.SAGEConv(encoder.dim, encoder.dim)
        layer.lin_l.load_state_dict(neighbours.state_dict())
        layer.lin_r.load_state_dict(self_map.state_dict())
        layers.append(layer)
    return layers


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("graph", [random_graph(), with_isolated()], ids=["random", "isolated"])
def test_equals_sageconv_of_pyg(pyg: ModuleType, graph: BipartiteGraph, num_layers: int, skip: bool) -> None:
    encoder = GraphSAGE(graph.num_users, graph.num_items, dim=5, num_layers=num_layers, skip=skip)
    randomise(encoder)
    links = dense_adjacency(graph).nonzero().T
    layers = oracle_layers(pyg, encoder)
    x = encoder.inputs()
    for number, layer in enumerate(layers):
        out: Tensor = layer(x, links)
        if number + 1 < num_layers:
            out = out.relu()
        x = x + out if skip else out
    found = graph.stack(encoder(graph))
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-5)
    upstream = torch.randn_like(found)
    (found * upstream).sum().backward(retain_graph=True)
    grad = encoder.items.weight.grad.clone()
    encoder.zero_grad()
    (x * upstream).sum().backward()
    torch.testing.assert_close(grad, encoder.items.weight.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_fold_in_is_a_user_in_the_graph_who_starts_from_the_mean_of_the_items(
    num_layers: int, skip: bool
) -> None:
    graph = random_graph()
    encoder = GraphSAGE(11, 8, dim=5, num_layers=num_layers, skip=skip)
    randomise(encoder)
    with torch.no_grad():
        encoder.users.weight[3] = encoder.items.weight[graph.biadjacency()[3].indices].mean(0)
    found = encoder.fold_in(graph, graph.biadjacency()[[3]])
    torch.testing.assert_close(found[0], encoder(graph).users[3], rtol=1e-4, atol=1e-5)


def test_dropout_in_training_alone() -> None:
    graph, encoder = random_graph(), GraphSAGE(11, 8, dim=5, dropout=0.5)
    encoder.train()
    assert not torch.equal(encoder(graph).users, encoder(graph).users)
    folded = encoder.fold_in(graph, graph.biadjacency())
    assert torch.equal(folded, encoder.fold_in(graph, graph.biadjacency()))
    encoder.eval()
    assert torch.equal(encoder(graph).users, encoder(graph).users)


def test_items_without_links_are_told_apart_by_features() -> None:
    graph = with_isolated()
    encoder = GraphSAGE(4, 4, torch.eye(4), dim=5, features_as="input")
    with torch.no_grad():
        encoder.items.weight.zero_()
    alone = encoder(graph).items[2]
    assert alone.abs().max() > 0
    assert not torch.allclose(alone, GraphSAGE(4, 4, torch.eye(4).flip(0), dim=5)(graph).items[2])
