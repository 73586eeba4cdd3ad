"""Small graphs for tests, and what the tests of several modules ask of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.ranking import top_k
from gnnseg.scoring import Scorer


def from_dense(matrix: np.ndarray) -> BipartiteGraph:
    return BipartiteGraph(sp.csr_matrix(matrix.astype(np.float32)))


def random_matrix(num_users: int, num_items: int, seed: int = 0, density: float = 0.35) -> np.ndarray:
    """Binary ``[U, I]``: every user and item has a link, no user has every item, degrees differ."""
    rng = np.random.default_rng(seed)
    matrix = (rng.random((num_users, num_items)) < density).astype(np.float32)
    matrix[np.arange(num_users), np.arange(num_users) % num_items] = 1
    matrix[np.arange(num_items) % num_users, np.arange(num_items)] = 1
    matrix[np.arange(num_users), (np.arange(num_users) + num_items // 2) % num_items] = 0
    return matrix


def random_graph(num_users: int = 11, num_items: int = 8, seed: int = 0) -> BipartiteGraph:
    return from_dense(random_matrix(num_users, num_items, seed))


def with_isolated() -> BipartiteGraph:
    """User 1 and item 2 have no link."""
    return from_dense(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1], [1, 0, 0, 0]]))


def permuted(graph: BipartiteGraph, users: np.ndarray, items: np.ndarray) -> BipartiteGraph:
    """Row ``n`` of the new graph is row ``users[n]`` of the old one, items alike."""
    return BipartiteGraph(graph.biadjacency()[users][:, items])


def permutations(graph: BipartiteGraph, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.permutation(graph.num_users), rng.permutation(graph.num_items)


def with_another_edge(graph: BipartiteGraph) -> tuple[BipartiteGraph, int, int]:
    """The graph with one more edge, and the user and the item that it joins."""
    matrix = graph.biadjacency().toarray()
    user, item = np.argwhere(matrix == 0)[0].tolist()
    matrix[user, item] = 1
    return from_dense(matrix), user, item


def dense_adjacency(graph: BipartiteGraph) -> Tensor:
    """``A [U+I, U+I]`` in float64, by nothing but assignment."""
    links = torch.from_numpy(graph.biadjacency().toarray()).double()
    adjacency = torch.zeros(graph.num_nodes, graph.num_nodes, dtype=torch.float64)
    adjacency[: graph.num_users, graph.num_users :] = links
    adjacency[graph.num_users :, : graph.num_users] = links.T
    return adjacency


def dense_normalised(graph: BipartiteGraph) -> Tensor:
    """``D^-1/2 A D^-1/2`` in float64."""
    adjacency = dense_adjacency(graph)
    scale = adjacency.sum(1).clamp(min=1).rsqrt()
    return scale.unsqueeze(1) * adjacency * scale


def randomise(module: nn.Module, std: float = 0.3) -> None:
    """Move every parameter away from where it starts, zeros above all."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * std)


@dataclass(frozen=True)
class HeldOut:
    """A graph to train on, and the pairs held out of it, one a row of ``pairs [n, 2]``."""

    graph: BipartiteGraph
    pairs: np.ndarray

    def hit_rate(self, scorer: Scorer, k: int) -> float:
        """Share of held-out pairs whose item is among the user's first ``k`` that are not in the graph."""
        users = np.arange(self.graph.num_users)
        ranked, _ = top_k(scorer, users, k, self.graph.biadjacency())
        return float(np.mean([item in ranked[user] for user, item in self.pairs.tolist()]))


def checkerboard(size: int = 16) -> HeldOut:
    """Users with even rows like even items, odd ones odd items; each user's own row is held out.

    What is held out is then the only item of the user's colour that is left, and must come first.
    """
    rows = np.arange(size)
    matrix = (rows[:, None] + rows) % 2 == 0
    np.fill_diagonal(matrix, False)
    return HeldOut(from_dense(matrix), np.stack([rows, rows], axis=1))


@dataclass(frozen=True)
class Planted:
    """Two segments that like different halves of the items, and embeddings that do not know it."""

    data: HeldOut
    embeddings: Embeddings
    memberships: Tensor


def planted(num_users: int = 60, num_items: int = 24, dim: int = 16, seed: int = 0) -> Planted:
    """Users ``0, 2, ..`` like the first half of the items, the others the second half.

    All users have one and the same vector, so only a head can tell the segments apart. Every user has
    seven items, two more are held out.
    """
    rng = np.random.default_rng(seed)
    matrix, pairs = np.zeros((num_users, num_items)), []
    for user in range(num_users):
        liked = rng.permutation(num_items // 2)[:9] + (user % 2) * (num_items // 2)
        matrix[user, liked[:7]] = 1
        pairs += [(user, item) for item in liked[7:]]
    users = torch.from_numpy(rng.normal(size=dim)).float().repeat(num_users, 1)
    items = torch.from_numpy(rng.normal(size=(num_items, dim))).float()
    segment = torch.arange(num_users) % 2
    memberships = torch.nn.functional.one_hot(segment, 2).float() * 0.9 + 0.05
    return Planted(HeldOut(from_dense(matrix), np.array(pairs)), Embeddings(users, items), memberships)
