"""A graph whose edges lie in files: propagation reads them a block of rows at a time."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.errors import ConfigError, DataError
from gnnseg.graph import BLOCK_EDGES, BipartiteGraph, csr_tensor

MOST_EDGES = 2**30 - 1
"""Both directions are counted with 32 bits."""


TRANSPOSED = 2**26
"""Edges that are put in order of their items at once, in 4 bytes each."""


class _BlockedPolynomial(torch.autograd.Function):
    """``sum_k w_k A^k x`` by Horner's rule, a block of rows of ``A`` at a time; ``A`` is symmetric."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: MappedGraph, weights: tuple[float, ...]) -> Tensor:
        ctx.graph, ctx.weights = graph, weights
        return graph.polynomial(x, weights)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return ctx.graph.polynomial(grads[0].contiguous(), ctx.weights), None, None


class MappedGraph(BipartiteGraph):
    """A graph on the CPU whose normalised adjacency is mapped from two files, 16 bytes an edge.

    A product reads the files once, from the first row to the last, and what a block has read is given back to
    the system, so that memory holds vectors and a block of edges. The results are those of the same graph in
    memory.

    Args:
        biadjacency: Binary matrix ``[U, I]`` with sorted columns; its arrays may be mapped as well.
        folder: Where ``columns.i32`` and ``values.f32`` are made; they must stay as long as the graph.

    Raises:
        DataError: If there are too many edges, a pair is repeated, or the files cannot be written.
    """

    def __init__(self, biadjacency: sp.csr_matrix, folder: Path) -> None:
        count = int(biadjacency.nnz)
        if not 0 < count <= MOST_EDGES:
            raise DataError(f"a mapped graph must have 1 to {MOST_EDGES} edges (got {count})")
        if not biadjacency.has_canonical_format:
            raise DataError("a mapped graph must have sorted columns and no repeated pair")
        self.num_users, self.num_items = (int(size) for size in biadjacency.shape)
        self._biadjacency = biadjacency
        self.device = torch.device("cpu")
        try:
            self._columns = _mapped(folder / "columns.i32", np.int32, 2 * count)
            self._values = _mapped(folder / "values.f32", np.float32, 2 * count)
        except OSError as error:
            raise DataError(f"cannot write '{folder}': {error.strerror or error}") from None
        users, items = np.diff(biadjacency.indptr), np.zeros(self.num_items, dtype=np.int64)
        for part, _ in _edges(biadjacency):
            items += np.bincount(biadjacency.indices[part], minlength=self.num_items)
        degrees = np.concatenate([users, items])
        self._starts = np.concatenate([[0], np.cumsum(degrees)])
        self._fill_columns()
        self._fill_values(degrees)
        self.degrees = torch.from_numpy(degrees.astype(np.float32))
        crow = torch.from_numpy(self._starts.astype(np.int32))
        parts = torch.from_numpy(self._columns), torch.from_numpy(self._values)
        self.adjacency = csr_tensor(crow, *parts, (len(degrees), len(degrees)))

    def _fill_columns(self) -> None:
        """Users' items, then items' users: as users come in order, each item's do.

        The latter are put in order in memory, some items at a time: put into the file at once, they would
        touch all of its pages again and again.
        """
        matrix, count = self._biadjacency, self.num_edges
        for part, _ in _edges(matrix):
            self._columns[part] = matrix.indices[part] + self.num_users
            _release(self._columns, part.start, part.stop)
        starts = self._starts[self.num_users :]
        cuts = np.unique(np.searchsorted(starts, [*range(count, 2 * count, TRANSPOSED), 2 * count]))
        for first, last in pairwise(cuts.tolist()):
            whole = slice(int(starts[first]), int(starts[last]))
            self._columns[whole] = _users_of(matrix, starts[first : last + 1] - whole.start, first)
            _release(self._columns, whole.start, whole.stop)

    def _fill_values(self, degrees: np.ndarray) -> None:
        scale = 1 / np.sqrt(np.maximum(degrees, 1, dtype=np.float64))
        for first, last in self._blocks():
            part = slice(int(self._starts[first]), int(self._starts[last]))
            self._values[part] = (
                np.repeat(scale[first:last], degrees[first:last]) * scale[self._columns[part]]
            )
            self._release(part)

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """Ranges of rows with about ``BLOCK_EDGES`` entries each."""
        edges = np.arange(0, int(self._starts[-1]), BLOCK_EDGES)
        rows = np.unique([0, *np.searchsorted(self._starts, edges, side="right") - 1, self.num_nodes])
        return pairwise(rows.tolist())

    def _release(self, part: slice) -> None:
        for array in (self._columns, self._values):
            _release(array, part.start, part.stop)

    def to(self, device: torch.device | str) -> BipartiteGraph:
        """Itself, if propagation is to stay on the CPU.

        Raises:
            ConfigError: If it is not.
        """
        if torch.device(device) != self.device:
            raise ConfigError(f"a mapped graph stays on the CPU (got {device})")
        return self

    def propagate(
        self, x: Tensor, weights: Sequence[float] = (0.0, 1.0), adjacency: Tensor | None = None
    ) -> Tensor:
        """As :meth:`BipartiteGraph.propagate`.

        Args:
            x: ``[U+I, d]``.
            weights: ``w_0 .. w_K``.
            adjacency: Another symmetric matrix instead, which is in memory.
        """
        if adjacency is not None:
            return super().propagate(x, weights, adjacency)
        result: Tensor = _BlockedPolynomial.apply(x, self, tuple(weights))
        return result

    def polynomial(self, x: Tensor, weights: Sequence[float]) -> Tensor:
        """``sum_k w_k A^k x``, ``[U+I, d]``, without a gradient.

        Args:
            x: ``[U+I, d]``.
            weights: ``w_0 .. w_K``.
        """
        result = x if weights[-1] == 1 else x * weights[-1]
        for weight in reversed(weights[:-1]):
            product = torch.empty_like(x)
            for first, last in self._blocks():
                part = slice(int(self._starts[first]), int(self._starts[last]))
                crow = torch.from_numpy((self._starts[first : last + 1] - part.start).astype(np.int32))
                entries = torch.from_numpy(self._columns[part]), torch.from_numpy(self._values[part])
                rows = csr_tensor(crow, *entries, (last - first, self.num_nodes))
                product[first:last] = torch.addmm(x[first:last], rows, result, beta=weight)
                self._release(part)
            result = product
        return result


def _mapped(path: Path, dtype: npt.DTypeLike, length: int) -> np.memmap[Any, Any]:
    return np.memmap(path, dtype=dtype, mode="w+", shape=(length,))


def _users_of(biadjacency: sp.csr_matrix, starts: np.ndarray, first: int) -> np.ndarray:
    """The users of some items, item by item, in order, ``[m]`` int32.

    Args:
        biadjacency: ``[U, I]``.
        starts: Where each item's users start, and the end of all, ``[items + 1]``.
        first: The first of the items.
    """
    found = np.empty(int(starts[-1]), dtype=np.int32)
    place = starts[:-1].copy()  # where each item's next user goes
    for part, users in _edges(biadjacency):
        items = np.asarray(biadjacency.indices[part]) - first
        mine = np.flatnonzero((items >= 0) & (items < len(place)))
        mine = mine[np.argsort(items[mine], kind="stable")]
        ordered = items[mine]
        heads = np.flatnonzero(np.diff(ordered, prepend=-1))
        lengths = np.diff(np.append(heads, len(ordered)))
        found[place[ordered] + np.arange(len(ordered)) - np.repeat(heads, lengths)] = users[mine]
        place[ordered[heads]] += lengths
    return found


def _edges(biadjacency: sp.csr_matrix) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of edges in order: their places, and the user of each, ``[m]`` int32."""
    starts = biadjacency.indptr
    for start in range(0, int(biadjacency.nnz), BLOCK_EDGES):
        part = slice(start, min(start + BLOCK_EDGES, int(biadjacency.nnz)))
        users = np.searchsorted(starts, np.arange(part.start, part.stop), side="right") - 1
        yield part, users.astype(np.int32)


def _release(array: np.memmap[Any, Any], start: int, stop: int) -> None:
    """Give the memory of some elements back to the system, where it has a way; the file keeps them."""
    mapping: mmap.mmap = array._mmap  # type: ignore[attr-defined]
    first = start * array.itemsize // mmap.PAGESIZE * mmap.PAGESIZE
    if hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED, first, stop * array.itemsize - first)
