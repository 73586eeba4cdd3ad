"""The one training loop: link prediction on the whole graph, for stage 1 and stage 2 alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.config import Schedule
from gnnseg.errors import TrainingError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.losses import Loss
from gnnseg.model import SegmentRecommender
from gnnseg.sampling import UniformNegatives


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one pass over the training interactions cost and gave.

    Attributes:
        epoch: From 1.
        loss: Mean over interactions.
        seconds: Wall time of the epoch.
        rate: Interactions a second.
    """

    epoch: int
    loss: float
    seconds: float
    rate: float


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


def start_training(
    model: SegmentRecommender, schedule: Schedule, generator: torch.Generator, stage: int = 1
) -> TrainingState:
    """Choose what is trained: everything in stage 1; in stage 2 the head, and the encoder at its own rate.

    Args:
        model: Parameters that are not trained have ``requires_grad`` set to False.
        schedule: Learning rates and weight decay.
        generator: Source of batches and negatives.
        stage: 1 or 2.
    """
    rate = schedule.learning_rate
    encoder_rate = rate if stage == 1 else rate * schedule.encoder_rate
    encoder = list(model.encoder.parameters())
    for parameter in encoder:
        parameter.requires_grad_(stage == 1 or schedule.encoder_rate > 0)
    head = [] if model.head is None else list(model.head.parameters())
    groups = [{"params": head, "lr": rate}, {"params": encoder, "lr": encoder_rate}]
    groups = [g for g in groups if any(p.requires_grad for p in g["params"])]  # type: ignore[attr-defined]
    groups = groups or [{"params": [torch.zeros(0)], "lr": rate}]
    return TrainingState(torch.optim.AdamW(groups, weight_decay=schedule.weight_decay), generator)


def train(
    model: SegmentRecommender, graph: BipartiteGraph, loss: Loss, schedule: Schedule, state: TrainingState
) -> Iterator[EpochReport]:
    """Train, epoch by epoch; the caller looks at each report and stops when it likes.

    Args:
        model: On the graph's device.
        graph: Its edges are the observed pairs.
        loss: What is minimised.
        schedule: How.
        state: Continued from, and kept up to date before each report.

    Yields:
        A report after each epoch.

    Raises:
        TrainingError: If the loss stops being finite.
    """
    users, items = _pairs(graph)
    negatives = UniformNegatives(graph)
    embed = _embedder(model, graph)
    while state.epoch < schedule.epochs:
        started = time.perf_counter()
        model.train()
        total = torch.zeros((), device=graph.device)
        order = torch.randperm(len(users), generator=state.generator, device=graph.device)
        for batch in order.split(schedule.batch_size):
            some, place = users[batch].unique(return_inverse=True)
            drawn = negatives.draw(some, schedule.num_negatives, state.generator)
            positive, negative = _scores(
                _tables(embed(), loss), some, place, items[batch], drawn, schedule.precision
            )
            value = loss(positive, negative)
            state.optimizer.zero_grad(set_to_none=True)
            if value.requires_grad:  # not so for a head without parameters on a frozen encoder
                value.backward()
                state.optimizer.step()
            total += value.detach() * len(batch)
        mean = float(total) / len(users)
        if not math.isfinite(mean):
            raise TrainingError(
                f"the loss is {mean} in epoch {state.epoch + 1}; try a lower learning rate "
                f"(now {schedule.learning_rate}) or a higher temperature"
            )
        state.epoch += 1
        seconds = time.perf_counter() - started
        yield EpochReport(state.epoch, mean, seconds, len(users) / seconds)


def _pairs(graph: BipartiteGraph) -> tuple[Tensor, Tensor]:
    pairs = graph.biadjacency().tocoo()
    users, items = (torch.from_numpy(part).long().to(graph.device) for part in (pairs.row, pairs.col))
    return users, items


def _embedder(model: SegmentRecommender, graph: BipartiteGraph) -> Callable[[], Embeddings]:
    """The forward pass of a step; a frozen encoder runs once."""
    if any(p.requires_grad for p in model.encoder.parameters()):
        return lambda: model(graph)
    with torch.no_grad():
        model.encoder.eval()
        fixed: Embeddings = model.encoder(graph)
    return lambda: model.condition(fixed)


def _tables(embeddings: Embeddings, loss: Loss) -> Embeddings:
    """What is multiplied: unit vectors where the loss works on cosines."""
    return Embeddings(*(F.normalize(x, dim=1) for x in embeddings)) if loss.cosine else embeddings


def _scores(
    tables: Embeddings, some: Tensor, place: Tensor, items: Tensor, drawn: Tensor, precision: str
) -> tuple[Tensor, Tensor]:
    """Scores of the pairs of a batch and of the items drawn for their users.

    Args:
        tables: Users ``[U, d]`` and items ``[I, d]``.
        some: The different users of the batch, ``[b]``.
        place: Which of them each pair belongs to, ``[B]``.
        items: Item of each pair, ``[B]``.
        drawn: Items drawn for each of the users, ``[b, K]``; a user's pairs share them.
        precision: Of the products, on CUDA.

    Returns:
        ``[B]`` and ``[B, K]``.
    """
    device = items.device.type
    mixed = device == "cuda" and precision != "float32"
    with torch.autocast(device, getattr(torch, precision), enabled=mixed):
        user = tables.users.index_select(0, some)
        item = tables.items.index_select(0, items)
        other = tables.items.index_select(0, drawn.view(-1)).view(*drawn.shape, -1)
        positive = (user.index_select(0, place) * item).sum(-1)
        return positive, torch.einsum("bkd,bd->bk", other, user).index_select(0, place)
