from __future__ import annotations

import copy

import networkx as nx
import numpy as np
import torch

from gnnseg.graph import Embeddings
from gnnseg.heads import SubgraphPropagation
from tests.graphs import random_graph, randomise, with_isolated

GRAPH = random_graph(8, 6)


def scores(head: SubgraphPropagation, start: Embeddings, memberships: torch.Tensor) -> np.ndarray:
    found = head(start, memberships)
    return (found.users @ found.items.T).detach().double().numpy()


def test_formula_in_dense_matrices() -> None:
    head = SubgraphPropagation(5, 3)
    memberships = torch.softmax(torch.randn(8, 3), 1)
    head.bind(GRAPH, memberships)
    randomise(head)
    start = Embeddings(torch.randn(8, 5), torch.randn(6, 5))
    users, items = (table.double().numpy() for table in start)
    links, expected = GRAPH.biadjacency().toarray().astype(np.float64), users @ items.T
    for s in range(3):
        shares = memberships[:, s].double().numpy()
        normalised = shares[:, None] * links / np.sqrt(links.sum(1))[:, None] / np.sqrt(links.sum(0))
        expected += float(head.gates[s].detach()) * shares[:, None] * (users @ (normalised.T @ users).T)
    np.testing.assert_allclose(scores(head, start, memberships), expected, rtol=1e-4, atol=1e-4)


def test_hard_segments_propagate_over_their_own_links_alone() -> None:
    """The links of a segment's users, cut out of networkx's normalised Laplacian."""
    labels = torch.arange(8) % 2
    memberships = torch.nn.functional.one_hot(labels, 2).float()
    head = SubgraphPropagation(5, 2)
    head.bind(GRAPH, memberships)
    torch.nn.init.ones_(head.gates)
    start = Embeddings(torch.randn(8, 5), torch.zeros(6, 5))
    users, expected = start.users.double().numpy(), np.zeros((8, 6))
    step = np.eye(14) - nx.normalized_laplacian_matrix(GRAPH.to_networkx(), range(14)).toarray()
    for s in range(2):
        own = np.flatnonzero(labels.numpy() == s)
        expected[own] = users[own] @ (step[8:, own] @ users[own]).T
    np.testing.assert_allclose(scores(head, start, memberships), expected, rtol=1e-4, atol=1e-5)


def test_segments_divide_the_propagation_of_the_graph_among_them() -> None:
    memberships = torch.softmax(torch.randn(8, 3), 1)
    head = SubgraphPropagation(5, 3)
    head.bind(GRAPH, memberships)
    start = Embeddings(torch.randn(8, 5), torch.randn(6, 5))
    parts = head(start, memberships).items.view(6, 4, 5)[:, 1:]
    torch.testing.assert_close(parts.sum(1), GRAPH.unstack(GRAPH.propagate(GRAPH.stack(start))).items)


def test_items_without_users_in_a_segment_get_nothing_from_it() -> None:
    graph = with_isolated()
    memberships = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    head = SubgraphPropagation(3, 2)
    head.bind(graph, memberships)
    torch.nn.init.ones_(head.gates)
    found = head(Embeddings(torch.randn(4, 3), torch.randn(4, 3)), memberships)
    assert torch.isfinite(found.items).all()
    assert not found.items[2, 3:].any()  # nobody has it
    assert not found.items[:, 6:].any()  # the only user of the second segment has no item
    assert found.items[1, 3:6].any()


def test_a_copy_shares_the_graph_and_nothing_of_it_is_in_the_state() -> None:
    head = SubgraphPropagation(3, 2)
    head.bind(GRAPH, torch.full((8, 2), 0.5))
    assert copy.deepcopy(head)._graph is GRAPH
    assert list(head.state_dict()) == ["gates"]
