"""What a step of training does, in a process alone or in one of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.batch import Batch, prompt
from gnnseg.config import Schedule
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.losses import Loss
from gnnseg.model import SegmentRecommender
from gnnseg.ranks import RankGraph
from gnnseg.regularizers import Regularizer
from gnnseg.sampling import NegativeSampler


@dataclass
class TrainingState:
    """All that training needs to go on where it stopped, besides the model.

    Attributes:
        optimizer: Over the trained parameters.
        generator: Draws batches and negatives, on the graph's device.
        epoch: Epochs done.
    """

    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    epoch: int = field(default=0)


class Step:
    """One step of training: the arguments of :func:`train`, and what each step does with them."""

    def __init__(
        self,
        model: SegmentRecommender,
        graph: BipartiteGraph,
        loss: Loss,
        schedule: Schedule,
        state: TrainingState,
        sampler: NegativeSampler | None,
        regularizers: Sequence[Regularizer],
    ) -> None:
        self.model, self.graph, self.loss, self.sampler = model, graph, loss, sampler
        self.schedule, self.state = schedule, state
        self.scaler = torch.amp.GradScaler(graph.device.type, enabled=scales(schedule, graph.device))
        self.regularizers = regularizers
        self.users, self.items = pairs_of(graph)
        self.fixed: Embeddings | None = None
        for regularizer in regularizers:
            regularizer.check(model.encoder)
        if not any(p.requires_grad for p in model.encoder.parameters()):  # a frozen encoder runs once
            self.regularizers = ()
            with torch.no_grad():
                model.encoder.eval()
                self.fixed = model.encoder(graph)

    def loss_at(self, edges: Tensor) -> Tensor:
        """Loss of the pairs at some places in the graph's order, ``[B]``, a scalar."""
        return self.loss_of(self.users[edges], self.items[edges])

    def loss_of(self, users: Tensor, items: Tensor) -> Tensor:
        """Loss of pairs, ``[B]`` and ``[B]``, a scalar."""
        tables = self.tables()
        batch = Batch.of(self.graph, users, items, self.model.product)
        if self.sampler is not None:
            count, generator = self.schedule.num_negatives, self.state.generator
            drawn = self.sampler.draw(batch, tables, count, generator)
            batch = batch.against(drawn, self.sampler.log_q(batch.users, drawn))
        device, precision = self.graph.device.type, self.schedule.precision
        mixed = device == "cuda" and precision != "float32"
        with torch.autocast(device, getattr(torch, precision), enabled=mixed):
            value = self.loss.of(tables, batch)
        for regularizer in self.regularizers:
            value = value + regularizer(self.model.encoder, batch)
        return value

    def descend(self, value: Tensor) -> None:
        """Move the parameters against the gradient of ``value``, a scalar."""
        optimizer = self.state.optimizer
        optimizer.zero_grad(set_to_none=True)
        if value.requires_grad:  # not so for a head without parameters on a frozen encoder
            self.scaler.scale(value).backward()
            self.join()
            self.scaler.step(optimizer)
            self.scaler.update()

    def join(self) -> None:
        """Add to the gradients what other processes found; alone there are none."""

    def total(self, losses: Tensor) -> Tensor:
        """Losses of an epoch's steps ``[steps]``, the parts of other processes added."""
        return losses

    def finite(self) -> bool:
        """Whether every parameter is."""
        return all(bool(p.isfinite().all()) for p in self.model.parameters())

    def tables(self) -> Embeddings:
        """What is multiplied in this step; unit vectors where the loss is of cosines."""
        tables = self._embed()
        return Embeddings(*(F.normalize(x, dim=1) for x in tables)) if self.loss.cosine else tables

    def _embed(self) -> Embeddings:
        """What is scored: the encoder's embeddings, or a regularizer's pass of it, through the head."""
        if self.fixed is not None:
            return self.model.condition(self.fixed)
        passes = [r.embed(self.model.encoder, self.graph) for r in self.regularizers]
        own = [found for found in passes if found is not None]
        if len(own) > 1:
            raise ConfigError(f"only one regularizer can make the encoder's pass (got {len(own)}); drop one")
        embeddings: Embeddings = self.model.condition(own[0]) if own else self.model(self.graph)
        return embeddings


class SharedStep(Step):
    """The part of a step that is of a process's own users, in one of several processes.

    All have the same batch and the same random numbers, and each takes the pairs of its users. Its loss is
    their share of the mean over the batch, so that the losses of all processes add up to that of one alone,
    and so do the gradients of what is replicated: everything but the users' table.
    """

    graph: RankGraph

    def loss_at(self, edges: Tensor) -> Tensor:
        """What the own pairs among those of a batch ``[B]``, places in the whole graph, add to its loss."""
        graph, before = self.graph, self.graph.edges_before
        place = ((edges >= before) & (edges < before + graph.own_edges)).nonzero().squeeze(1)
        own, tables = edges[place] - before, self.tables()
        batch = Batch.of(graph, self.users[own], self.items[own])
        if self.sampler is not None:
            numbers = self._numbers(batch, place, len(edges))
            batch = batch.against(self.sampler.lacked(batch.users, numbers))
        value = sum(table.sum() for table in tables) * 0.0  # whoever has no pair takes part in the sums
        if len(own):
            mean = self.loss.mean_of(tables, batch)
            for regularizer in self.regularizers:
                mean = mean + regularizer(self.model.encoder, batch)
            value = value + mean * (len(own) / len(edges))
        beside = self.loss.beside(tables, graph)
        return torch.as_tensor(value if beside is None else value + beside)

    def join(self) -> None:
        """Sum the gradients of replicated parameters over all processes."""
        for name, parameter in self.model.named_parameters():
            if name != "encoder.users.weight" and parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                self.graph.ranks.sum_(parameter.grad, "gradients")

    def total(self, losses: Tensor) -> Tensor:
        """Losses of an epoch's steps over all processes, ``[steps]``."""
        return self.graph.ranks.sum_(losses, "losses")

    def finite(self) -> bool:
        """Whether every parameter of every process is."""
        bad = torch.tensor([float(not super().finite())], device=self.graph.device)
        return not self.graph.ranks.sum_(bad, "losses").item()

    def _numbers(self, batch: Batch, place: Tensor, count: int) -> Tensor:
        """The rows of this process's users among the random numbers of the whole batch, ``[b, K]``."""
        ranks, device = self.graph.ranks, self.graph.device
        rows = place
        if prompt(device):  # a user stands once, and users ascend
            counts = torch.zeros(ranks.size, dtype=torch.int64)
            counts[ranks.rank] = len(batch.users)
            counts = ranks.sum_(counts, "counts")
            count, first = int(counts.sum()), int(counts[: ranks.rank].sum())
            rows = torch.arange(first, first + len(batch.users))
        size, generator = (count, self.schedule.num_negatives), self.state.generator
        return torch.rand(size, generator=generator, device=device, dtype=torch.float64)[rows]


def scales(schedule: Schedule, device: torch.device) -> bool:
    """Whether gradients are scaled so that float16 can hold them."""
    return device.type == "cuda" and schedule.precision == "float16"


def pairs_of(graph: BipartiteGraph) -> tuple[Tensor, Tensor]:
    """User and item of every edge, in the graph's order, ``[n]`` each."""
    pairs = graph.biadjacency().tocoo()
    users, items = (torch.from_numpy(part).long().to(graph.device) for part in (pairs.row, pairs.col))
    return users, items
