from __future__ import annotations

from types import ModuleType

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gnnseg.data.interactions import Interactions
from gnnseg.errors import DataError
from gnnseg.graph import BipartiteGraph, Embeddings
from tests.graphs import (
    dense_adjacency,
    dense_normalised,
    from_dense,
    permutations,
    permuted,
    random_graph,
    random_matrix,
    with_isolated,
)

GRAPHS = {
    "random": random_graph(),
    "wide": random_graph(3, 17, seed=2),
    "isolated": with_isolated(),
    "no edges": BipartiteGraph(sp.csr_matrix((2, 3), dtype=np.float32)),
    "one edge": BipartiteGraph(sp.csr_matrix(np.ones((1, 1), dtype=np.float32))),
}
WEIGHTS = [
    [0.0, 1.0],
    [1.0],
    [0.5],
    [0.25] * 4,
    [0.0, 0.0, 1.0],
    [0.3, 0.0, -2.0, 0.7],
    [0.0, 0.0],
    [1.0, 0.5, 0.0],
]
each_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual.double(), expected.double(), rtol=1e-5, atol=1e-5)


@each_graph
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_propagate_is_the_polynomial_of_the_dense_matrix(graph: BipartiteGraph, weights: list[float]) -> None:
    x = torch.randn(graph.num_nodes, 5)
    dense, power = dense_normalised(graph), torch.eye(graph.num_nodes, dtype=torch.float64)
    expected = torch.zeros(graph.num_nodes, 5, dtype=torch.float64)
    for weight in weights:
        expected += weight * (power @ x.double())
        power = dense @ power
    close(graph.propagate(x, weights), expected)


@each_graph
@pytest.mark.parametrize("weights", WEIGHTS, ids=str)
def test_gradient_equals_autograd_through_the_dense_matrix(
    graph: BipartiteGraph, weights: list[float]
) -> None:
    start, upstream = torch.randn(graph.num_nodes, 5), torch.randn(graph.num_nodes, 5)
    x = start.clone().requires_grad_()
    (graph.propagate(x, weights) * upstream).sum().backward()
    y = start.double().requires_grad_()
    dense, step = dense_normalised(graph), y
    total = weights[0] * step
    for weight in weights[1:]:
        step = dense @ step
        total = total + weight * step
    (total * upstream.double()).sum().backward()
    close(x.grad, y.grad)


def test_gradient_with_a_transposed_upstream() -> None:
    graph, x = random_graph(), torch.randn(19, 3, requires_grad=True)
    upstream = torch.randn(3, 19)
    (graph.propagate(x).T * upstream).sum().backward()
    close(x.grad, dense_normalised(graph) @ upstream.T.double())


def test_propagate_changes_neither_input_nor_graph() -> None:
    graph, x = random_graph(), torch.randn(19, 3)
    before, values = x.clone(), graph.adjacency.values().clone()
    first = graph.propagate(x, [1.0, 0.5, 0.25])
    assert torch.equal(x, before)
    assert torch.equal(graph.adjacency.values(), values)
    assert torch.equal(graph.propagate(x, [1.0, 0.5, 0.25]), first)


@each_graph
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_propagate_equals_stacked_lgconv(pyg: ModuleType, graph: BipartiteGraph, num_layers: int) -> None:
    x, layer = torch.randn(graph.num_nodes, 4), pyg.LGConv()
    links = dense_adjacency(graph).nonzero().T
    expected = x
    for _ in range(num_layers):
        expected = layer(expected, links)
    close(graph.propagate(x, [0.0] * num_layers + [1.0]), expected)


@each_graph
def test_mean_is_the_mean_of_neighbours(graph: BipartiteGraph) -> None:
    x, adjacency = torch.randn(graph.num_nodes, 4), dense_adjacency(graph)
    expected = adjacency @ x.double() / adjacency.sum(1, keepdim=True).clamp(min=1)
    close(graph.mean(x), expected)


def test_gradient_of_mean() -> None:
    graph, upstream = with_isolated(), torch.randn(8, 4)
    x = torch.randn(8, 4, requires_grad=True)
    (graph.mean(x) * upstream).sum().backward()
    adjacency = dense_adjacency(graph)
    close(x.grad, (adjacency / adjacency.sum(1, keepdim=True).clamp(min=1)).T @ upstream.double())


def test_isolated_nodes_get_nothing_and_give_nothing() -> None:
    graph = with_isolated()
    isolated = [1, graph.num_users + 2]
    assert graph.degrees.tolist() == [2, 0, 2, 1, 2, 2, 0, 1]
    x = torch.zeros(8, 2)
    x[isolated] = 1.0
    assert not graph.propagate(x).any()
    assert not graph.mean(x).any()
    assert not graph.propagate(torch.ones(8, 2))[isolated].any()
    assert torch.equal(graph.propagate(torch.ones(8, 2), [0.5, 1.0])[isolated], torch.full((2, 2), 0.5))


@each_graph
@pytest.mark.parametrize("block", [1, 3, 2**22])
def test_adjacency_bit_for_bit_as_assembled_by_scipy(
    graph: BipartiteGraph, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = graph.biadjacency()
    whole = sp.bmat([[None, links], [links.T, None]], format="csr", dtype=np.float32)
    whole.sort_indices()
    degrees = np.diff(whole.indptr)
    scale = 1 / np.sqrt(np.maximum(degrees, 1, dtype=np.float64))
    values = (np.repeat(scale, degrees) * scale[whole.indices]).astype(np.float32)
    monkeypatch.setattr("gnnseg.graph.BLOCK_EDGES", block)
    found = BipartiteGraph(links)
    assert np.array_equal(found.adjacency.crow_indices(), whole.indptr)
    assert np.array_equal(found.adjacency.col_indices(), whole.indices)
    assert np.array_equal(found.adjacency.values(), values)
    assert found.adjacency.crow_indices().dtype == found.adjacency.col_indices().dtype == torch.int32
    assert np.array_equal(found.degrees, degrees.astype(np.float32))


def test_sizes_and_repr() -> None:
    graph = with_isolated()
    assert (graph.num_users, graph.num_items, graph.num_nodes, graph.num_edges) == (4, 4, 8, 5)
    assert repr(graph) == "BipartiteGraph(num_users=4, num_items=4, num_edges=5)"


def test_repeated_pairs_count_once_and_ratings_are_not_used() -> None:
    pairs = np.array([[0, 1], [0, 1], [0, 0], [1, 2], [0, 1]])
    ratings = np.array([5.0, 1.0, 2.0, 0.5, 3.0])
    graph = BipartiteGraph.from_interactions(Interactions(*pairs.T, weights=ratings), 3, 4)
    assert graph.num_edges == 3
    assert graph.degrees.tolist() == [2, 1, 0, 1, 1, 1, 0]
    assert graph.biadjacency().toarray().tolist() == [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    close(graph.adjacency.to_dense(), dense_normalised(graph))


@pytest.mark.parametrize(
    "columns", [[2, 0, 1], [2, 0, 2], [0, 0, 2]], ids=["unsorted", "unsorted, repeated", "repeated"]
)
def test_any_csr_matrix_becomes_sorted_and_binary(columns: list[int]) -> None:
    values = np.array([3.0, 1.0, 2.0], dtype=np.float32)
    given = sp.csr_matrix((values, np.array(columns), np.array([0, 3, 3])), shape=(2, 4))
    graph = BipartiteGraph(given)
    matrix = graph.biadjacency()
    assert matrix.indices.tolist() == sorted(set(columns))
    assert matrix.data.tolist() == [1.0] * len(set(columns))
    assert graph.degrees[0] == len(set(columns))
    assert given.data.tolist() == [3.0, 1.0, 2.0]
    assert given.indices.tolist() == columns


def test_a_sorted_binary_matrix_is_not_copied() -> None:
    graph = random_graph()
    assert BipartiteGraph(graph.biadjacency()).biadjacency() is graph.biadjacency()


def test_adjacency_is_symmetric_csr_with_narrow_indices() -> None:
    adjacency = random_graph().adjacency
    assert adjacency.layout == torch.sparse_csr
    assert adjacency.col_indices().dtype == torch.int32
    dense = adjacency.to_dense()
    assert torch.equal(dense, dense.T)


def test_permuting_nodes_permutes_propagation() -> None:
    graph = random_graph()
    users, items = permutations(graph)
    x = torch.randn(graph.num_nodes, 4)
    order = torch.from_numpy(np.concatenate([users, graph.num_users + items]))
    assert order.tolist() != sorted(order.tolist())
    close(
        permuted(graph, users, items).propagate(x[order], [0.2, 0.3, 0.5]),
        graph.propagate(x, [0.2, 0.3, 0.5])[order],
    )
    close(permuted(graph, users, items).mean(x[order]), graph.mean(x)[order])


def test_stack_and_unstack_are_inverse() -> None:
    graph = random_graph()
    embeddings = Embeddings(torch.randn(11, 2), torch.randn(8, 2))
    whole = graph.stack(embeddings)
    assert torch.equal(whole[11:], embeddings.items)
    assert all(map(torch.equal, graph.unstack(whole), embeddings))


def test_to_the_same_device_is_the_same_graph() -> None:
    graph = random_graph()
    assert graph.to("cpu") is graph


@each_graph
def test_edge_index_holds_both_directions_sorted(pyg: ModuleType, graph: BipartiteGraph) -> None:
    edge_index = graph.edge_index
    assert edge_index.is_undirected
    assert edge_index.is_sorted_by_row
    edge_index.validate()
    plain = edge_index.as_tensor()
    assert plain.shape == (2, 2 * graph.num_edges)
    found = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    found[plain[0], plain[1]] = 1
    assert torch.equal(found, dense_adjacency(graph))


def test_edge_index_in_layers_of_pyg(pyg: ModuleType) -> None:
    graph, layer = random_graph(), pyg.SAGEConv(4, 3)
    x = torch.randn(graph.num_nodes, 4)
    expected = layer.lin_l(graph.mean(x)) + layer.lin_r(x)
    close(layer(x, graph.edge_index), expected)
    close(pyg.LGConv()(x, graph.edge_index), graph.propagate(x))


@each_graph
def test_networkx_round_trip(graph: BipartiteGraph) -> None:
    there = graph.to_networkx()
    assert there.number_of_nodes() == graph.num_nodes
    assert there.number_of_edges() == graph.num_edges
    assert [side for _, side in there.nodes(data="bipartite")] == [0] * graph.num_users + [
        1
    ] * graph.num_items
    assert nx.is_bipartite(there)
    back = BipartiteGraph.from_networkx(there)
    assert np.array_equal(back.biadjacency().toarray(), graph.biadjacency().toarray())


def test_from_networkx_with_names_and_edges_either_way_round() -> None:
    graph = nx.Graph()
    graph.add_nodes_from(["x", "y"], bipartite=1)
    graph.add_nodes_from(["ann", "bob", "cy"], bipartite=0)
    graph.add_edges_from([("x", "ann"), ("ann", "y"), ("y", "cy")])
    found = BipartiteGraph.from_networkx(graph)
    assert found.biadjacency().toarray().tolist() == [[1, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize("side", [None, 2, "user"])
def test_from_networkx_without_sides(side: object) -> None:
    graph = nx.Graph()
    graph.add_node(0, bipartite=0)
    graph.add_node(1, **({} if side is None else {"bipartite": side}))
    with pytest.raises(DataError, match="every node must carry 'bipartite' 0"):
        BipartiteGraph.from_networkx(graph)


@pytest.mark.parametrize("edge", [(0, 1), (2, 3)], ids=["users", "items"])
def test_from_networkx_with_an_edge_inside_a_side(edge: tuple[int, int]) -> None:
    graph = nx.Graph([(0, 2), (1, 3), edge])
    nx.set_node_attributes(graph, {0: 0, 1: 0, 2: 1, 3: 1}, "bipartite")
    with pytest.raises(DataError, match="joins two nodes of one side"):
        BipartiteGraph.from_networkx(graph)


class TestDropped:
    def test_edges_go_in_both_directions_and_the_rest_is_rescaled(self) -> None:
        graph = from_dense(random_matrix(30, 20))
        whole, found = dense_normalised(graph), graph.dropped(0.3).to_dense().double()
        kept = found != 0
        assert torch.equal(found, found.T)
        torch.testing.assert_close(found[kept], whole[kept] / 0.7)
        share = float(kept.sum() / (whole != 0).sum())
        assert share == pytest.approx(0.7, abs=0.1)
        assert not (kept & (whole == 0)).any()

    def test_each_edge_goes_as_often_as_asked_and_by_itself(self) -> None:
        graph = random_graph()
        kept = torch.stack([graph.dropped(0.25).values() != 0 for _ in range(2000)])
        upper = kept[:, : graph.num_edges].double()
        assert (upper.mean(0) - 0.75).abs().max() < 0.05
        assert (torch.corrcoef(upper.T) - torch.eye(graph.num_edges)).abs().max() < 0.12

    def test_draws_from_torchs_generator(self) -> None:
        graph = random_graph()
        torch.manual_seed(3)
        first, other = graph.dropped(0.5).values(), graph.dropped(0.5).values()
        torch.manual_seed(3)
        assert torch.equal(graph.dropped(0.5).values(), first)
        assert not torch.equal(other, first)

    def test_propagation_on_it_and_its_gradient(self) -> None:
        graph, weights = random_graph(), (0.5, 0.0, 2.0)
        matrix = graph.dropped(0.4)
        dense = matrix.to_dense()
        x = torch.randn(graph.num_nodes, 3, requires_grad=True)
        upstream = torch.randn_like(x)
        (graph.propagate(x, weights, matrix) * upstream).sum().backward()
        y = x.detach().clone().requires_grad_()
        expected = 0.5 * y + 2 * dense @ (dense @ y)
        torch.testing.assert_close(graph.propagate(x, weights, matrix), expected)
        (expected * upstream).sum().backward()
        torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize("graph", [random_graph(), with_isolated()], ids=["random", "isolated"])
def test_items_of_users(graph: BipartiteGraph) -> None:
    dense = graph.biadjacency().toarray()
    users = torch.tensor([3, 1, 1, 0])
    found = graph.items_of(users)
    assert found.shape == (4, int(dense.sum(1).max()))
    for user, row in zip(users.tolist(), found.tolist(), strict=True):
        own = np.flatnonzero(dense[user]).tolist()
        assert row == own + [graph.num_items] * (len(row) - len(own))


def test_items_of_users_without_any_edge() -> None:
    assert from_dense(np.zeros((2, 3))).items_of(torch.tensor([1])).shape == (1, 0)
