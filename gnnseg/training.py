"""The one training loop: link prediction on the whole graph, for stage 1 and stage 2 alike."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.batch import Batch, prompt
from gnnseg.config import Schedule
from gnnseg.errors import ConfigError, TrainingError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.losses import Loss
from gnnseg.model import SegmentRecommender
from gnnseg.regularizers import Regularizer
from gnnseg.sampling import NegativeSampler, Uniform


@dataclass(frozen=True, slots=True)
class EpochReport:
    """What one pass over the training interactions cost and gave.

    Attributes:
        epoch: From 1.
        loss: Mean over interactions, regularizers included.
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
    fused = _scales(schedule, generator.device) or None  # else the step would wait to hear of overflows
    optimizer = torch.optim.AdamW(groups, weight_decay=schedule.weight_decay, fused=fused)
    return TrainingState(optimizer, generator)


def train(
    model: SegmentRecommender,
    graph: BipartiteGraph,
    loss: Loss,
    schedule: Schedule,
    state: TrainingState,
    sampler: NegativeSampler | None = None,
    regularizers: Sequence[Regularizer] = (),
) -> Iterator[EpochReport]:
    """Train, epoch by epoch; the caller looks at each report and stops when it likes.

    On CUDA the host waits for the device at the end of an epoch only. A run in float16 that is resumed starts
    with the scale of gradients that every run starts with, not with the one it had reached.

    Args:
        model: On the graph's device.
        graph: Its edges are the observed pairs.
        loss: What is minimised.
        schedule: How.
        state: Continued from, and kept up to date before each report.
        sampler: Draws what observed pairs stand against; None for uniform draws.
        regularizers: Added to the loss; they are of the encoder, and none counts where it is frozen.

    Yields:
        A report after each epoch.

    Raises:
        TrainingError: If the loss or a parameter stops being finite.
        ConfigError: If a regularizer does not fit the encoder.
    """
    users, items = _pairs(graph)
    sampler = (sampler or Uniform(graph)) if loss.draws else None
    step = _Step(model, graph, loss, schedule, state, sampler, regularizers)
    while state.epoch < schedule.epochs:
        started = time.perf_counter()
        model.train()
        order = torch.randperm(len(users), generator=state.generator, device=graph.device)
        batches = order.split(schedule.batch_size)
        losses = torch.zeros(len(batches), device=graph.device)
        for number, batch in enumerate(batches):
            value = step.loss_of(users[batch], items[batch])
            losses[number] = value.detach()
            if prompt(graph.device) and not math.isfinite(value.item()):
                break
            step.descend(value)
        _refuse_infinite(losses, model, schedule, state.epoch + 1)
        sizes = torch.tensor([len(batch) for batch in batches], device=graph.device)
        state.epoch += 1
        mean, seconds = float((losses * sizes).sum()) / len(users), time.perf_counter() - started
        yield EpochReport(state.epoch, mean, seconds, len(users) / seconds)


class _Step:
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
        self.scaler = torch.amp.GradScaler(graph.device.type, enabled=_scales(schedule, graph.device))
        self.regularizers = regularizers
        self.fixed: Embeddings | None = None
        for regularizer in regularizers:
            regularizer.check(model.encoder)
        if not any(p.requires_grad for p in model.encoder.parameters()):  # a frozen encoder runs once
            self.regularizers = ()
            with torch.no_grad():
                model.encoder.eval()
                self.fixed = model.encoder(graph)

    def loss_of(self, users: Tensor, items: Tensor) -> Tensor:
        """Loss of pairs, ``[B]`` and ``[B]``, a scalar."""
        tables = self._embed()
        if self.loss.cosine:
            tables = Embeddings(*(F.normalize(x, dim=1) for x in tables))
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
        """Move the parameters against the gradient of ``value``."""
        optimizer = self.state.optimizer
        optimizer.zero_grad(set_to_none=True)
        if value.requires_grad:  # not so for a head without parameters on a frozen encoder
            self.scaler.scale(value).backward()
            self.scaler.step(optimizer)
            self.scaler.update()

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


def _refuse_infinite(losses: Tensor, model: SegmentRecommender, schedule: Schedule, epoch: int) -> None:
    """Raise a TrainingError if a loss of the epoch ``[steps]``, or what its last step left, is not finite."""
    found, steps = losses.tolist(), len(losses)
    bad = [step for step, value in enumerate(found) if not math.isfinite(value)]
    if bad:
        what = f"the loss is {found[bad[0]]} in epoch {epoch}, step {bad[0] + 1} of {steps}"
    elif not all(bool(p.isfinite().all()) for p in model.parameters()):
        what = f"a parameter is not finite after epoch {epoch}, step {steps} of {steps}"
    else:
        return
    raise TrainingError(
        f"{what}; try a lower learning rate (now {schedule.learning_rate}) or a higher temperature; "
        "a checkpoint saved before is finite and kept"
    )


def _scales(schedule: Schedule, device: torch.device) -> bool:
    """Whether gradients are scaled so that float16 can hold them."""
    return device.type == "cuda" and schedule.precision == "float16"


def _pairs(graph: BipartiteGraph) -> tuple[Tensor, Tensor]:
    pairs = graph.biadjacency().tocoo()
    users, items = (torch.from_numpy(part).long().to(graph.device) for part in (pairs.row, pairs.col))
    return users, items
