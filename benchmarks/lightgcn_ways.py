"""LightGCN the way others train it: the example of PyTorch Geometric, and the widely used PyTorch code.

Both propagate over the whole graph in every step, draw one negative a positive, and learn with Adam at a rate
of 0.001. Neither is tuned here: they run at their authors' settings.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gnnseg.graph import BipartiteGraph

Batch = tuple[Tensor, Tensor, Tensor]


class Way(Protocol):
    """One way to train.

    Attributes:
        published_epochs: How many its authors run.
        steps_per_epoch: Batches.
    """

    published_epochs: int
    steps_per_epoch: int

    def batches(self) -> Iterator[Batch]:
        """Users, positive and negative items of each batch of an epoch."""

    def step(self, batch: Batch) -> Tensor:
        """Forward, backward, optimizer; the loss."""

    def tables(self) -> tuple[Tensor, Tensor]:
        """Final vectors of users ``[U, d]`` and items ``[I, d]``."""


class CooLightGCN(nn.Module):
    """As in github.com/gusye1234/LightGCN-PyTorch, whose defaults these are; written anew.

    The normalised adjacency is a COO tensor, multiplied with all vectors layer by layer; the layers are
    stacked and averaged; BPR by softplus, plus L2 of the batch's vectors before propagation. An epoch draws
    as many triples as there are interactions: a user at random, one of its items, an item it lacks. The
    drawing is done at once here, where the original loops over users.
    """

    published_epochs = 1000

    def __init__(
        self,
        links: sp.csr_matrix,
        *,
        dim: int = 64,
        layers: int = 3,
        batch_size: int = 2048,
        rate: float = 1e-3,
        decay: float = 1e-4,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        graph = BipartiteGraph(links)
        self.graph = graph.adjacency.to_sparse_coo().coalesce().to(device)
        self.links, self.layers, self.batch_size, self.decay = links, layers, batch_size, decay
        self.users = nn.Embedding(graph.num_users, dim)
        self.items = nn.Embedding(graph.num_items, dim)
        for table in (self.users, self.items):
            nn.init.normal_(table.weight, std=0.1)
        self.to(device)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=rate)
        self.steps_per_epoch = -(-links.nnz // batch_size)
        self._rng = np.random.default_rng(torch.initial_seed() % 2**32)

    def batches(self) -> Iterator[Batch]:
        """Triples of one epoch."""
        (num_users, num_items), count = self.links.shape, self.links.nnz
        degrees = np.diff(self.links.indptr)
        users = self._rng.choice(np.flatnonzero(degrees), count)
        place = (self._rng.random(count) * degrees[users]).astype(np.int64)
        positive = self.links.indices[self.links.indptr[users] + place]
        keys = np.repeat(np.arange(num_users), degrees) * num_items + self.links.indices
        negative = self._rng.integers(num_items, size=count)
        wrong = np.arange(count)
        while len(wrong):
            drawn = users[wrong] * num_items + negative[wrong]
            at = np.minimum(np.searchsorted(keys, drawn), count - 1)
            wrong = wrong[keys[at] == drawn]
            negative[wrong] = self._rng.integers(num_items, size=len(wrong))
        parts = (torch.from_numpy(part.astype(np.int64)) for part in (users, positive, negative))
        device = self.users.weight.device
        yield from zip(*(part.to(device).split(self.batch_size) for part in parts), strict=True)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Propagate and average."""
        layer = torch.cat([self.users.weight, self.items.weight])
        layers = [layer]
        for _ in range(self.layers):
            layer = torch.sparse.mm(self.graph, layer)
            layers.append(layer)
        mean = torch.stack(layers, dim=1).mean(dim=1)
        users, items = torch.split(mean, [len(self.users.weight), len(self.items.weight)])
        return users, items

    def step(self, batch: Batch) -> Tensor:
        """One step of Adam."""
        users, positive, negative = batch
        all_users, all_items = self.tables()
        user = all_users[users]
        better = (user * all_items[positive]).sum(1)
        worse = (user * all_items[negative]).sum(1)
        inputs = (self.users(users), self.items(positive), self.items(negative))
        penalty = sum(x.norm(2).pow(2) for x in inputs) / 2 / len(users)
        loss = F.softplus(worse - better).mean() + self.decay * penalty
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


class PyGLightGCN:
    """As examples/lightgcn.py of PyTorch Geometric: 8,192 edges a batch, 2 layers, any item as negative."""

    published_epochs = 100

    def __init__(
        self,
        links: sp.csr_matrix,
        *,
        dim: int = 64,
        layers: int = 2,
        batch_size: int = 8192,
        rate: float = 1e-3,
        device: torch.device | str = "cpu",
    ) -> None:
        from torch_geometric.nn import LightGCN

        graph = BipartiteGraph(links)
        self.num_users, self.num_items = graph.num_users, graph.num_items
        self.edges = graph.edge_index.as_tensor().to(device)
        self.labels = self.edges[:, : graph.num_edges]
        self.batch_size = batch_size
        self.model = LightGCN(graph.num_nodes, dim, layers).to(device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate)
        self.steps_per_epoch = -(-graph.num_edges // batch_size)

    def batches(self) -> Iterator[Batch]:
        """Every edge once, each with an item drawn from all."""
        device = self.edges.device
        for some in torch.randperm(self.labels.shape[1], device=device).split(self.batch_size):
            negative = torch.randint(
                self.num_users, self.num_users + self.num_items, (len(some),), device=device
            )
            yield self.labels[0, some], self.labels[1, some], negative

    def step(self, batch: Batch) -> Tensor:
        """One step of Adam."""
        users, positive, negative = batch
        pairs = torch.stack([torch.cat([users, users]), torch.cat([positive, negative])])
        self.optimizer.zero_grad()
        better, worse = self.model(self.edges, pairs).chunk(2)
        loss = self.model.recommendation_loss(better, worse, node_id=pairs.unique())
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    @torch.no_grad()
    def tables(self) -> tuple[Tensor, Tensor]:
        """The model's own final vectors."""
        vectors = self.model.get_embedding(self.edges)
        return vectors[: self.num_users], vectors[self.num_users :]


def train(way: Way, epochs: int | None, seconds: float | None) -> dict[str, Any]:
    """Train until the epochs or the seconds are used up, whichever is first.

    Returns:
        Epochs done, seconds of a step and of an epoch, and of the authors' number of epochs as projected.
    """
    limit = way.published_epochs if epochs is None else epochs
    started, steps, over = time.perf_counter(), 0, False
    while not over and steps < limit * way.steps_per_epoch:
        for batch in way.batches():
            float(way.step(batch))  # as both read the loss after every step
            steps += 1
            over = seconds is not None and time.perf_counter() - started > seconds
            if over:
                break
    taken = (time.perf_counter() - started) / max(steps, 1)
    epoch = taken * way.steps_per_epoch
    return {
        "epochs": round(steps / way.steps_per_epoch, 2),
        "seconds_a_step": taken,
        "seconds_an_epoch": epoch,
        "published_epochs": way.published_epochs,
        "projected_seconds": epoch * way.published_epochs,
    }
