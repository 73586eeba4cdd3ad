"""A graph in files propagates as the same graph in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gnnseg import mapped
from gnnseg.encoders import LightGCN
from gnnseg.errors import ConfigError, DataError
from gnnseg.graph import BipartiteGraph
from gnnseg.mapped import MappedGraph


def links(users: int = 40, items: int = 25, seed: int = 0) -> sp.csr_matrix:
    """A user and an item without edges, and a user with most items, among them."""
    dense = np.random.default_rng(seed).random((users, items)) < 0.2
    dense[3], dense[5], dense[:, 7] = False, True, False
    return sp.csr_matrix(dense.astype(np.float32))


@pytest.fixture(params=[1, 7, 60, 10**6])
def both(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[BipartiteGraph, MappedGraph]:
    """In memory and in files, the latter in blocks of 1, 7, 60 or all edges."""
    monkeypatch.setattr(mapped, "BLOCK_EDGES", request.param)
    monkeypatch.setattr(mapped, "TRANSPOSED", 3 * request.param)
    return BipartiteGraph(links()), MappedGraph(links(), tmp_path)


def test_the_same_matrix(both: tuple[BipartiteGraph, MappedGraph]) -> None:
    memory, files = both
    assert torch.equal(files.adjacency.crow_indices(), memory.adjacency.crow_indices())
    assert torch.equal(files.adjacency.col_indices(), memory.adjacency.col_indices())
    assert torch.equal(files.adjacency.values(), memory.adjacency.values())
    assert torch.equal(files.degrees, memory.degrees)
    assert files._columns.dtype == np.int32
    assert (files.num_nodes, files.num_edges) == (memory.num_nodes, memory.num_edges)


@pytest.mark.parametrize("weights", [(0.0, 1.0), (0.25, 0.25, 0.25, 0.25), (1.0, 0.0, 0.5)])
def test_the_same_polynomial_and_gradient(
    both: tuple[BipartiteGraph, MappedGraph], weights: tuple[float, ...]
) -> None:
    """Against float64 and dense, as well as against the graph in memory."""
    memory, files = both
    dense = memory.adjacency.to_dense().double()
    power, expected = torch.eye(len(dense)).double(), torch.zeros_like(dense)
    for weight in weights:
        expected, power = expected + weight * power, power @ dense
    x = torch.randn(memory.num_nodes, 6, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    found, other = files.propagate(x, weights), memory.propagate(y, weights)
    torch.testing.assert_close(found.double(), expected @ x.double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, other, rtol=1e-6, atol=1e-7)
    grad = torch.randn_like(found)
    found.backward(grad)
    other.backward(grad)
    torch.testing.assert_close(x.grad.double(), expected @ grad.double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-6, atol=1e-7)


def test_an_encoder_runs_on_it(both: tuple[BipartiteGraph, MappedGraph]) -> None:
    memory, files = both
    encoder = LightGCN(memory.num_users, memory.num_items, dim=4, num_layers=2)
    for found, other in zip(encoder(files), encoder(memory), strict=True):
        torch.testing.assert_close(found, other, rtol=1e-6, atol=1e-7)
    users = torch.tensor([5, 3, 0])
    assert torch.equal(files.items_of(users), memory.items_of(users))
    assert torch.equal(files.dropped(0.0).values(), memory.adjacency.values())


def test_edges_are_read_from_the_files(tmp_path: Path) -> None:
    """What the file says is what is propagated: nothing keeps a copy."""
    graph = MappedGraph(links(), tmp_path)
    x = torch.ones(graph.num_nodes, 2)
    before = graph.propagate(x)
    assert before.abs().sum() > 0
    other = np.memmap(tmp_path / "values.f32", dtype=np.float32, mode="r+")
    other[:] = 0
    other.flush()
    assert graph.propagate(x).abs().sum() == 0


def test_a_matrix_that_is_mapped_itself(tmp_path: Path) -> None:
    matrix = links()
    np.save(tmp_path / "indices.npy", matrix.indices)
    indices = np.load(tmp_path / "indices.npy", mmap_mode="r")
    again = sp.csr_matrix((matrix.data, indices, matrix.indptr), shape=matrix.shape)
    again.has_canonical_format = True
    found = MappedGraph(again, tmp_path).adjacency
    assert torch.equal(found.col_indices(), BipartiteGraph(matrix).adjacency.col_indices())


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must have 1 to \d+ edges \(got 0\)"):
        MappedGraph(sp.csr_matrix((3, 3), dtype=np.float32), tmp_path)
    with pytest.raises(DataError, match=r"cannot write '.*nowhere': No such file"):
        MappedGraph(links(), tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"stays on the CPU \(got cuda\)"):
        MappedGraph(links(), tmp_path).to("cuda")
    repeated = sp.csr_matrix((np.ones(2, np.float32), np.array([1, 1]), np.array([0, 2])), shape=(1, 3))
    with pytest.raises(DataError, match="no repeated pair"):
        MappedGraph(repeated, tmp_path)
