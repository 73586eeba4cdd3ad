"""One stage of a run: train, look at validation, stop early, keep the best, save on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gnnseg.config import Config
from gnnseg.errors import CheckpointError
from gnnseg.graph import BipartiteGraph
from gnnseg.losses import LOSSES
from gnnseg.model import SegmentRecommender
from gnnseg.ranks import Part, Ranks
from gnnseg.regularizers import REGULARIZERS
from gnnseg.resume import load_resume, save_resume, save_together
from gnnseg.sampling import SAMPLERS
from gnnseg.seeding import seed_torch, torch_rng
from gnnseg.signals import stopping_gently
from gnnseg.tracking import Tracker
from gnnseg.training import EpochReport, TrainingState, start_training, train


@dataclass
class Best:
    """The best state so far by the validation metric.

    Attributes:
        value: Its metric.
        epoch: When it was; 0 is before training.
        weights: Its parameters and buffers.
        stale: Looks at validation since.
    """

    value: float
    epoch: int
    weights: dict[str, Tensor]
    stale: int = 0

    def look(self, value: float, epoch: int, model: SegmentRecommender) -> None:
        """Compare with the state now; without a metric (NaN) the latest is the best."""
        self.stale += 1
        if value > self.value or math.isnan(value):
            self.value, self.epoch, self.stale = value, epoch, 0
            self.weights = _copy(model)


@dataclass
class Progress:
    """What is known of a run under way, kept so that it can be resumed.

    Attributes:
        stage: 1 or 2.
        history: All epoch reports so far.
        global_value: The validation metric of the global model, once stage 1 is done.
        folder: Where to save, or None.
        resumed: Tensors and state of an interrupted run, used up by the stage they belong to.
        ranks: The processes that work on the run together, or None.
        part: While they train a stage, the users of this one.
    """

    stage: int = 1
    history: list[dict[str, Any]] = field(default_factory=list)
    global_value: float = float("nan")
    folder: Path | None = None
    resumed: tuple[dict[str, Tensor], dict[str, Any]] | None = None
    ranks: Ranks | None = None
    part: Part | None = None

    @property
    def saves(self) -> bool:
        """Whether the run is saved on the way, by this process alone or with others."""
        return (self.folder if self.part is None else self.part.folder) is not None

    @classmethod
    def resume(cls, folder: Path, config: Config, ranks: Ranks | None = None) -> Progress:
        """Read the progress of an interrupted run of ``config``."""
        tensors, state = load_resume(folder, config)
        value = _number(state["global_value"])
        return cls(state["stage"], state["history"], value, folder, (tensors, state), ranks)


def fit_stage(
    config: Config,
    model: SegmentRecommender,
    graph: BipartiteGraph,
    validate: Callable[[], float],
    progress: Progress,
    tracker: Tracker,
) -> Best:
    """Train one stage and leave the model in its best state.

    Args:
        config: Its schedule for the stage, loss, sampler, regularizers and seed.
        model: Trained in place.
        graph: The training graph.
        validate: The validation metric of the model as it is.
        progress: Where the run stands; its ``stage`` says which stage this is.
        tracker: Told of every epoch.
    """
    stage = progress.stage
    schedule = config.train if stage == 1 else config.fine_tune
    loss = LOSSES.create(config.loss).to(graph.device)
    sampler = SAMPLERS.create(config.sampler, graph) if loss.draws else None
    regularizers = [REGULARIZERS.create(s).to(graph.device) for s in config.regularizers if stage == 1]
    seed_torch(config.seed, f"stage {stage}")
    state = start_training(model, schedule, torch_rng(config.seed, f"stage {stage}", graph.device), stage)
    if progress.resumed is None:
        best = Best(validate(), 0, _copy(model))
    else:
        best = _restore(progress.resumed, model, state)
        progress.resumed = None
    reports = train(model, graph, loss, schedule, state, sampler, regularizers)
    _follow(config, progress, tracker, validate, reports, model, state, best)
    model.load_state_dict(best.weights)
    model.eval()
    return best


def _follow(
    config: Config,
    progress: Progress,
    tracker: Tracker,
    validate: Callable[[], float],
    reports: Iterator[EpochReport],
    model: SegmentRecommender,
    state: TrainingState,
    best: Best,
) -> None:
    """Look at every epoch of a stage, until there are no more, patience is lost or somebody asks to stop.

    Raises:
        KeyboardInterrupt: After a request to stop, once the epoch has been saved.
    """
    schedule = config.train if progress.stage == 1 else config.fine_tune
    name = "training" if progress.stage == 1 else "fine-tuning"
    with tracker.task(name, schedule.epochs) as task, stopping_gently(progress.folder is not None) as stop:
        task.advance(state.epoch)
        lasting = best.stale < schedule.patience  # a resumed stage may have lost it
        for report in reports if lasting else ():
            record = {"stage": progress.stage, **asdict(report)}
            looks = report.epoch % schedule.evaluate_every == 0
            if looks or report.epoch == schedule.epochs:
                record[f"valid_{config.choose_by}"] = value = validate()
                best.look(value, report.epoch, model)
            progress.history.append(record)
            tracker.log(record)
            task.advance(1, loss=report.loss, valid=best.value, rate=report.rate)
            if best.stale == 0 or looks or stop.asked is not None:
                _save(config, progress, model, state, best)
            stop.obey()
            if best.stale >= schedule.patience:
                task.fits(report.epoch)
                break
        stop.obey()


def _copy(model: SegmentRecommender) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def _save(
    config: Config, progress: Progress, model: SegmentRecommender, state: TrainingState, best: Best
) -> None:
    if not progress.saves:
        return
    optimizer = state.optimizer.state_dict()
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.weights.items()}
    tensors |= {
        f"optimizer.{index}.{name}": torch.as_tensor(value)
        for index, slots in optimizer["state"].items()
        for name, value in slots.items()
    }
    tensors |= {"random.generator": state.generator.get_state(), "random.torch": torch.get_rng_state()}
    if state.generator.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(state.generator.device)
    description = {
        "stage": progress.stage,
        "epoch": state.epoch,
        "best": {"value": best.value, "epoch": best.epoch, "stale": best.stale},
        "global_value": progress.global_value,
        "groups": [{k: v for k, v in g.items() if k in ("lr", "params")} for g in optimizer["param_groups"]],
        "history": progress.history,
    }
    if progress.part is not None:
        save_together(progress.part, config, tensors, description)
    elif progress.folder is not None:
        save_resume(progress.folder, config, tensors, description)


def _restore(
    resumed: tuple[dict[str, Tensor], dict[str, Any]], model: SegmentRecommender, state: TrainingState
) -> Best:
    tensors, description = resumed
    try:
        model.load_state_dict(under("model.", tensors))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"the interrupted run does not fit its data, which have changed: {reason}"
        ) from None
    slots: dict[int, dict[str, Tensor]] = {}
    for key, tensor in under("optimizer.", tensors).items():
        index, _, name = key.partition(".")
        slots.setdefault(int(index), {})[name] = tensor
    saved = state.optimizer.state_dict()
    state.optimizer.load_state_dict({**saved, "state": slots})
    state.generator.set_state(tensors["random.generator"])
    torch.set_rng_state(tensors["random.torch"])
    if "random.cuda" in tensors and state.generator.device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random.cuda"], state.generator.device)
    state.epoch = description["epoch"]
    best = description["best"]
    weights = {name: t.to(state.generator.device) for name, t in under("best.", tensors).items()}
    return Best(_number(best["value"]), best["epoch"], weights, best["stale"])


def _number(value: float | None) -> float:
    """JSON has null for NaN."""
    return float("nan") if value is None else value


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose name begins with ``prefix``, by the rest of the name."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
