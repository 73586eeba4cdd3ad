"""The bipartite user-item graph and its one hot operation, propagation.

Users are nodes ``0 .. U-1``, items are nodes ``U .. U+I-1``. The adjacency is symmetric, so its normalised
form is built once and serves the backward pass too: both passes are sparse x dense products on CSR with
32-bit indices, never gathers and scatters.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.data.interactions import Interactions
from gnnseg.errors import DataError

if TYPE_CHECKING:
    import networkx as nx
    from torch_geometric import EdgeIndex

BLOCK_EDGES = 2**22
"""Edges whose weights are computed at once, in float64."""


class Embeddings(NamedTuple):
    """One vector a user, ``[U, d]``, and one an item, ``[I, d]``; scores are dot products."""

    users: Tensor
    items: Tensor


def csr_tensor(crow: Tensor, col: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """A sparse CSR tensor from parts known to be valid, without torch's notes that the layout is in beta.

    Args:
        crow: Where each row starts, ``[rows + 1]``.
        col: Columns of the entries, ``[n]``.
        values: The entries, ``[n]``.
        size: Rows and columns.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state", UserWarning)
        warnings.filterwarnings("ignore", "Sparse invariant checks are implicitly disabled", UserWarning)
        return torch.sparse_csr_tensor(crow, col, values, size=size)


class _SymmetricPolynomial(torch.autograd.Function):
    """``sum_k w_k A^k x`` by Horner's rule; ``A`` is symmetric, so the gradient is the same polynomial."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, weights: tuple[float, ...]) -> Tensor:
        ctx.matrix, ctx.weights = matrix, weights
        return _polynomial(matrix, x, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _polynomial(ctx.matrix, grads[0].contiguous(), ctx.weights), None, None


def _polynomial(matrix: Tensor, x: Tensor, weights: Sequence[float]) -> Tensor:
    result = x if weights[-1] == 1 else x * weights[-1]
    for weight in reversed(weights[:-1]):
        result = matrix @ result if weight == 0 else torch.addmm(x, matrix, result, beta=weight)
    return result


def _canonical(biadjacency: sp.csr_matrix) -> sp.csr_matrix:
    """The matrix itself if its columns are sorted and its values ones, as sampling needs; else a copy so."""
    if biadjacency.has_canonical_format and (biadjacency.data == 1).all():
        return biadjacency
    canonical = biadjacency.astype(np.float32, copy=True)
    canonical.sum_duplicates()
    canonical.eliminate_zeros()
    canonical.data[:] = 1
    return canonical


def _normalised(biadjacency: sp.csr_matrix, item_degrees: np.ndarray | None) -> tuple[Tensor, Tensor]:
    """``D^-1/2 A D^-1/2``, its parts filled in place: 8 bytes an edge and direction, no copies.

    Args:
        biadjacency: Binary and canonical, ``[U, I]``.
        item_degrees: Of the whole graph, ``[I]``, where this is some of its users; else None.

    Returns:
        The matrix as a sparse CSR tensor ``[U+I, U+I]``, and the degrees ``[U+I]``, both float32.
    """
    (num_users, _), count = biadjacency.shape, biadjacency.nnz
    transposed = biadjacency.tocsc()
    entries = np.concatenate([np.diff(biadjacency.indptr), np.diff(transposed.indptr)])
    degrees = entries if item_degrees is None else np.append(entries[:num_users], item_degrees)
    index = np.int32 if max(2 * count, len(degrees)) < np.iinfo(np.int32).max else np.int64
    starts = np.zeros(len(degrees) + 1, dtype=index)
    np.cumsum(entries, out=starts[1:])
    columns = np.empty(2 * count, dtype=index)
    np.add(biadjacency.indices, num_users, out=columns[:count], casting="same_kind")
    columns[count:] = transposed.indices
    del transposed
    scale = 1 / np.sqrt(np.maximum(degrees, 1, dtype=np.float64))
    values = np.empty(2 * count, dtype=np.float32)
    edges = np.arange(0, 2 * count, BLOCK_EDGES)
    rows = np.unique([*np.searchsorted(starts, edges, side="right") - 1, len(degrees)])
    for first, last in pairwise(rows):
        part = slice(starts[first], starts[last])
        values[part] = np.repeat(scale[first:last], entries[first:last]) * scale[columns[part]]
    crow, col, weights = (torch.from_numpy(part) for part in (starts, columns, values))
    matrix = csr_tensor(crow, col, weights, (len(degrees), len(degrees)))
    return matrix, torch.from_numpy(degrees.astype(np.float32))


class BipartiteGraph:
    """Users and items joined by interactions; repeated pairs count once, ratings are not used.

    Args:
        biadjacency: Binary matrix ``[U, I]``.
        device: Where propagation runs.
        item_degrees: Of the whole graph, ``[I]``, where the matrix holds some of its users only.

    Attributes:
        num_users: ``U``.
        num_items: ``I``.
        adjacency: ``D^-1/2 A D^-1/2`` as a sparse CSR tensor ``[U+I, U+I]``.
        degrees: Neighbours of each node, ``[U+I]`` float32.
    """

    def __init__(
        self,
        biadjacency: sp.csr_matrix,
        device: torch.device | str = "cpu",
        item_degrees: np.ndarray | None = None,
    ) -> None:
        biadjacency = _canonical(biadjacency)
        self.num_users: int = biadjacency.shape[0]
        self.num_items: int = biadjacency.shape[1]
        self._biadjacency = biadjacency
        self.device = torch.device(device)
        parts = _normalised(biadjacency, item_degrees)
        self.adjacency, self.degrees = (part.to(self.device) for part in parts)

    @classmethod
    def from_interactions(cls, interactions: Interactions, num_users: int, num_items: int) -> BipartiteGraph:
        """The graph of some interactions over all users and items, isolated ones included."""
        return cls(interactions.matrix(num_users, num_items))

    @property
    def num_nodes(self) -> int:
        """``U + I``."""
        return self.num_users + self.num_items

    @property
    def num_edges(self) -> int:
        """Different user-item pairs."""
        count: int = self._biadjacency.nnz
        return count

    def __repr__(self) -> str:
        size = f"num_users={self.num_users}, num_items={self.num_items}, num_edges={self.num_edges}"
        return f"BipartiteGraph({size})"

    def __deepcopy__(self, memo: dict[int, Any]) -> BipartiteGraph:
        """Itself: it never changes, so copies of a module that keeps a graph share it."""
        return self

    def to(self, device: torch.device | str) -> BipartiteGraph:
        """The same graph with propagation on ``device``."""
        return self if torch.device(device) == self.device else BipartiteGraph(self._biadjacency, device)

    def propagate(
        self, x: Tensor, weights: Sequence[float] = (0.0, 1.0), adjacency: Tensor | None = None
    ) -> Tensor:
        """Apply a polynomial of the normalised adjacency, differentiably.

        Args:
            x: ``[U+I, d]``.
            weights: ``w_0 .. w_K``; the default is one step, ``[1/(L+1)] * (L+1)`` is LightGCN.
            adjacency: Another symmetric matrix instead, such as one with :meth:`dropped` edges.

        Returns:
            ``sum_k w_k (D^-1/2 A D^-1/2)^k x``, ``[U+I, d]``.
        """
        matrix = self.adjacency if adjacency is None else adjacency
        result: Tensor = _SymmetricPolynomial.apply(x, matrix, tuple(weights))
        return result

    def dropped(self, share: float) -> Tensor:
        """``adjacency`` with edges left out at random and the others divided by ``1 - share``.

        Both directions of an edge stay or go together, so the matrix remains symmetric, and ``adjacency`` is
        what to expect. Random numbers come from torch's global generator.

        Args:
            share: Probability of each edge to be left out.
        """
        kept = torch.rand(self.num_edges, device=self.device) >= share
        values = self.adjacency.values() * (kept / (1 - share)).index_select(0, self._edge_of_entry)
        crow, col = self.adjacency.crow_indices(), self.adjacency.col_indices()
        return csr_tensor(crow, col, values, (self.num_nodes, self.num_nodes))

    @cached_property
    def _edge_of_entry(self) -> Tensor:
        """Edge that each entry of ``adjacency`` belongs to, by its place in ``biadjacency``, ``[2n]``."""
        below = np.argsort(self._biadjacency.indices, kind="stable")  # an item's users ascend, as rows do
        return torch.from_numpy(np.concatenate([np.arange(len(below)), below])).to(self.device)

    def items_of(self, users: Tensor) -> Tensor:
        """Items of users ``[b]``, padded with ``I`` to the largest number that a user has, ``[b, m]``."""
        crow, col = self.adjacency.crow_indices(), self.adjacency.col_indices()
        first, end = crow[users].unsqueeze(1), crow[users + 1].unsqueeze(1)
        place = first + torch.arange(self._most_items, device=self.device)
        items = col[place.clamp(max=max(len(col) - 1, 0))] - self.num_users
        return torch.where(place < end, items, self.num_items).long()

    @cached_property
    def _most_items(self) -> int:
        return int(self._biadjacency.getnnz(axis=1).max(initial=0))

    def mean(self, x: Tensor) -> Tensor:
        """Mean over each node's neighbours, ``D^-1 A x``, ``[U+I, d]``; zero for isolated nodes."""
        root = self.degrees.clamp(min=1).sqrt().unsqueeze(1)
        return self.propagate(x * root) / root

    def stack(self, embeddings: Embeddings) -> Tensor:
        """Users above items, ``[U+I, d]``."""
        return torch.cat([embeddings.users, embeddings.items])

    def unstack(self, x: Tensor) -> Embeddings:
        """Divide ``[U+I, d]`` into users and items."""
        return Embeddings(x[: self.num_users], x[self.num_users :])

    @cached_property
    def edge_index(self) -> EdgeIndex:
        """Both directions of every edge, ``[2, 2n]``, sorted, for layers of PyTorch Geometric."""
        from torch_geometric import EdgeIndex

        row = torch.repeat_interleave(self.degrees.long())
        index = torch.stack([row, self.adjacency.col_indices().long()])
        size = (self.num_nodes, self.num_nodes)
        return EdgeIndex(index, sparse_size=size, sort_order="row", is_undirected=True)

    def biadjacency(self) -> sp.csr_matrix:
        """Binary matrix ``[U, I]``, SciPy CSR float32; not a copy."""
        return self._biadjacency

    def to_networkx(self) -> nx.Graph:
        """A networkx graph whose nodes carry ``bipartite`` 0 for users, 1 for items."""
        import networkx as nx

        graph = nx.Graph()
        graph.add_nodes_from(range(self.num_users), bipartite=0)
        graph.add_nodes_from(range(self.num_users, self.num_nodes), bipartite=1)
        pairs = self._biadjacency.tocoo()
        graph.add_edges_from(zip(pairs.row.tolist(), (pairs.col + self.num_users).tolist(), strict=True))
        return graph

    @classmethod
    def from_networkx(cls, graph: nx.Graph) -> BipartiteGraph:
        """The inverse of :meth:`to_networkx`.

        Raises:
            DataError: If a node lacks ``bipartite`` or an edge joins two nodes of one side.
        """
        sides = dict(graph.nodes(data="bipartite"))
        users = [node for node, side in sides.items() if side == 0]
        items = [node for node, side in sides.items() if side == 1]
        if len(users) + len(items) != len(sides):
            raise DataError("every node must carry 'bipartite' 0 (user) or 1 (item)")
        row = {node: position for nodes in (users, items) for position, node in enumerate(nodes)}
        pairs = [(a, b) if sides[a] == 0 else (b, a) for a, b in graph.edges()]
        if any(sides[a] == sides[b] for a, b in pairs):
            raise DataError("an edge joins two nodes of one side; the graph is not bipartite")
        rows, columns = np.array([(row[a], row[b]) for a, b in pairs], dtype=np.int64).reshape(-1, 2).T
        return cls.from_interactions(Interactions(rows, columns), len(users), len(items))
