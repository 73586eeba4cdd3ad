from __future__ import annotations

from types import ModuleType

import pytest
import torch
import torch.nn.functional as F

from gnnseg.config import Schedule
from gnnseg.encoders import LightGCN
from gnnseg.graph import BipartiteGraph
from gnnseg.losses import BPR
from gnnseg.model import SegmentRecommender
from gnnseg.training import start_training, train
from tests.graphs import dense_adjacency, from_dense, random_graph, random_matrix, with_isolated


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
