"""The one training loop: link prediction on the whole graph, for stage 1 and stage 2 alike."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnseg.batch import prompt
from gnnseg.config import Schedule
from gnnseg.errors import TrainingError
from gnnseg.graph import BipartiteGraph
from gnnseg.losses import Loss
from gnnseg.model import SegmentRecommender
from gnnseg.ranks import RankGraph
from gnnseg.regularizers import Regularizer
from gnnseg.sampling import NegativeSampler, Uniform
from gnnseg.steps import SharedStep, Step, scales
from gnnseg.steps import TrainingState as TrainingState


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
    fused = scales(schedule, generator.device) or None  # else the step would wait to hear of overflows
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
    sampler = (sampler or Uniform(graph)) if loss.draws else None
    shared = isinstance(graph, RankGraph)
    kind = SharedStep if shared else Step
    step = kind(model, graph, loss, schedule, state, sampler, regularizers)
    while state.epoch < schedule.epochs:
        started = time.perf_counter()
        model.train()
        order = torch.randperm(graph.num_edges, generator=state.generator, device=graph.device)
        batches = order.split(schedule.batch_size)
        losses = torch.zeros(len(batches), device=graph.device)
        for number, batch in enumerate(batches):
            value = step.loss_at(batch)
            losses[number] = value.detach()
            if not shared and prompt(graph.device) and not math.isfinite(value.item()):
                break  # several processes would have to agree, and do at the end of the epoch
            step.descend(value)
        losses = step.total(losses)
        _refuse_infinite(losses, step, schedule, state.epoch + 1)
        sizes = torch.tensor([len(batch) for batch in batches], device=graph.device)
        state.epoch += 1
        mean, seconds = float((losses * sizes).sum()) / graph.num_edges, time.perf_counter() - started
        yield EpochReport(state.epoch, mean, seconds, graph.num_edges / seconds)


def _refuse_infinite(losses: Tensor, step: Step, schedule: Schedule, epoch: int) -> None:
    """Raise a TrainingError if a loss of the epoch ``[steps]``, or what its last step left, is not finite."""
    found, steps = losses.tolist(), len(losses)
    bad = [number for number, value in enumerate(found) if not math.isfinite(value)]
    if bad:
        what = f"the loss is {found[bad[0]]} in epoch {epoch}, step {bad[0] + 1} of {steps}"
    elif not step.finite():
        what = f"a parameter is not finite after epoch {epoch}, step {steps} of {steps}"
    else:
        return
    raise TrainingError(
        f"{what}; try a lower learning rate (now {schedule.learning_rate}) or a higher temperature; "
        "a checkpoint saved before is finite and kept"
    )
