"""A run from tables to figures: split, features, stage 1, segments, stage 2, evaluate, save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch.nn import functional as F

from gnnseg import environment, model_card
from gnnseg.checkpoint import SavedRun, graph_of, load_prior, save_prior, save_run
from gnnseg.cold import cold_items, cold_users
from gnnseg.config import Config, load_config
from gnnseg.distributed import dismiss
from gnnseg.evaluation import Evaluation, evaluate, segment_gap
from gnnseg.fairness import fairness
from gnnseg.fairness.reranking import reranking
from gnnseg.files import write_json, write_text
from gnnseg.fitting import Fitted, describe_segments, fit_scorer, newcomers_of
from gnnseg.manifest import seal
from gnnseg.model import SegmentRecommender
from gnnseg.new_users import Prior
from gnnseg.newcomers import Newcomers
from gnnseg.prepared import Prepared, prepare, prepare_again
from gnnseg.projection import projected
from gnnseg.ranks import Ranks
from gnnseg.rules import Rules
from gnnseg.run_folder import finished_folder, refuse_existing, unfinished
from gnnseg.scoring import Scorer, strongest
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, JsonLines, Tracker, Trackers


@dataclass
class Run:
    """What a run gave.

    Attributes:
        config: Resolved.
        data: What it was trained on.
        scorer: The fitted model as a scorer.
        model: The model, or None for a baseline.
        valid: Metrics on validation.
        test: Metrics on test.
        segments: Content of ``segments.json``; None without segments.
        history: Epoch reports of both stages.
        decision: Validation metric of the global and of the segmented model, and which was kept.
        mixture: Weights of the terms and how they were chosen; None without any.
        local: Gain of the local model on validation, its gates and whether it is served; None without one.
        new_items: Place of items without training interactions among the others; None without a way for them.
        cold_items: Test metrics of cold and warm items apart; None unless the split keeps items apart.
        prior: What lists for new users start from; None without ``new_users``.
        new_users: Its weights by length of history; None without it.
        cold_users: Test metrics of new users by length of history; None unless the split keeps users apart.
        seconds: Wall time of each step.
        peak_memory_mb: Of the process while it ran.
        text: What features were made with.
    """

    config: Config
    data: Prepared
    scorer: Scorer
    model: SegmentRecommender | None
    valid: Evaluation
    test: Evaluation
    segments: dict[str, Any] | None
    history: list[dict[str, Any]]
    decision: dict[str, Any] | None
    mixture: dict[str, Any] | None
    local: dict[str, Any] | None
    new_items: dict[str, Any] | None
    cold_items: dict[str, Any] | None
    prior: Prior | None
    new_users: dict[str, Any] | None
    cold_users: dict[str, Any] | None
    seconds: dict[str, float]
    peak_memory_mb: float
    text: dict[str, Any] | None

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of ``metrics.json``."""
        return {
            "test": self.test_metrics,
            "valid": self.valid.means,
            "test_intervals": self.test.intervals(),
            "segments": self.segment_metrics(),
            "skipped_users": self.test.skipped,
            "decision": self.decision,
            "mixture": self.mixture,
            "local": self.local,
            "new_items": self.new_items,
            "cold_items": self.cold_items,
            "new_users": self.new_users,
            "cold_users": self.cold_users,
        }

    @property
    def test_metrics(self) -> dict[str, Any]:
        """Metrics on test with the gap between segments."""
        metric = self.config.choose_by
        if metric not in self.test.per_user:
            return self.test.means
        return {**self.test.means, "segment_gap": segment_gap(self.segment_metrics(), metric)}

    def segment_metrics(self) -> list[dict[str, Any]]:
        """Test metrics of the users in each segment; empty without segments."""
        if self.model is None or self.model.segmenter is None:
            return []
        segmenter = self.model.segmenter
        return self.test.by_segment(segmenter.labels.cpu().numpy(), segmenter.num_segments)

    @property
    def fairness(self) -> dict[str, Any] | None:
        """Content of ``fairness.json``; None where test was not measured by ``choose_by``."""
        if self.config.choose_by not in self.test.per_user or self.test.items is None:
            return None
        return fairness(self.test, self.data, self.config.choose_by, *self.labels)

    @property
    def labels(self) -> tuple[np.ndarray | None, list[str]]:
        """Strongest segment of each user, ``[U]``, and names of the segments; None without segments."""
        if self.model is None or self.model.segmenter is None:
            return None, []
        described = (self.segments or {}).get("segments", [])
        names = [s["name"] for s in described] or [""] * self.model.segmenter.num_segments
        return self.model.segmenter.labels.cpu().numpy(), names

    @property
    def parameters(self) -> dict[str, int]:
        """Numbers of parameters, ``total`` and ``trainable`` in the last stage."""
        return {"total": 0, "trainable": 0} if self.model is None else self.model.parameter_counts()


def fit(
    source: str | Path | Mapping[str, Any],
    out: str | Path | None = None,
    tracker: Tracker | None = None,
    **changes: Any,
) -> Run:
    """Train and evaluate one experiment.

    Args:
        source: Name of a shipped config, path of a YAML file, or the content of one.
        out: Folder to save the run in; must not exist yet.
        tracker: Told of progress and epochs, such as ``gnnseg.tracking.TensorBoard()``.
        changes: Top-level keys of the config to replace, such as ``seed=1``.

    Returns:
        The run, with ``metrics``, ``scorer``, ``segments`` and more.
    """
    return run(load_config(source, **changes), out=None if out is None else Path(out), tracker=tracker)


def run(
    config: Config,
    *,
    out: Path | None = None,
    resume: Path | None = None,
    tracker: Tracker | None = None,
    prepared: Prepared | None = None,
    notes: Mapping[str, Any] | None = None,
    ranks: Ranks | None = None,
) -> Run:
    """Run one experiment.

    Args:
        config: What to do.
        out: Folder to save in; nothing appears under this name before the run is complete.
        resume: Folder of an interrupted run to go on with; ``out`` then follows from it.
        tracker: Told of progress and epochs.
        prepared: The config's dataset, if it was prepared before.
        notes: JSON files to keep in the folder, by name.
        ranks: The processes that train with this one, number 0; the others :func:`gnnseg.distributed.follow`.

    Raises:
        GnnsegError: For anything a user can mend.
    """
    tracker = tracker or Tracker()
    device = environment.find_device(config.device)
    if resume is not None:
        out = finished_folder(resume)
    if out is None:
        with tracker.following(None, config.resolved()):
            result = _run(
                config, prepared or prepare(config.dataset, device, tracker), Progress(ranks=ranks), tracker
            )
            tracker.finish(result.test_metrics)
        return result
    refuse_existing(out)
    with unfinished(out, resume=resume is not None) as partial:
        progress = Progress(folder=partial, ranks=ranks)
        if resume is not None:
            progress = Progress.resume(partial, config, ranks)
        both = Trackers([tracker, JsonLines(partial / "history.jsonl")])
        with both.following(partial, config.resolved(), progress.history):
            write_text(partial / "config.yaml", config.to_yaml())
            for name, note in (notes or {}).items():
                write_json(partial / name, note)
            result = _run(config, prepared or prepare(config.dataset, device, tracker), progress, both)
            save(result, partial)
            labels, names = result.labels
            if labels is not None and (drawn := projected(result.scorer, labels, names)) is not None:
                both.vectors(*drawn)
            both.finish(result.test_metrics)
        seal(partial)  # once the trackers have written their last
    return result


def save(result: Run, folder: Path) -> None:
    """Write a finished run into an existing folder."""
    data = result.data
    save_run(folder, result.config, data.dataset, result.scorer, result.model, data.train, data.seen)
    if result.prior is not None:
        save_prior(folder, result.prior)
    write_json(folder / "metrics.json", result.metrics)
    if (fair := result.fairness) is not None:
        write_json(folder / "fairness.json", fair)
    if result.segments is not None:
        write_json(folder / "segments.json", result.segments)
    card = model_card.card(result.config, data.describe(), result.metrics, result.segments, fair)
    write_text(folder / model_card.FILE, card)
    about = environment.describe(data.graph.device)
    measured = {"seconds": result.seconds, "peak_memory_mb": result.peak_memory_mb}
    write_json(
        folder / "environment.json", {**about, "dataset": data.describe(), "text": result.text, **measured}
    )


def evaluate_run(
    saved: SavedRun,
    split: str,
    device: str = "auto",
    tracker: Tracker | None = None,
    rules: Rules | None = None,
    ranks: Ranks | None = None,
) -> dict[str, Any]:
    """Measure a saved run again on the data its config names.

    Args:
        saved: A finished run.
        split: ``valid`` or ``test``.
        device: Where to rank.
        tracker: Shown the progress.
        rules: Judge lists by these rules, too, and say what they cost (``reranking``).
        ranks: The processes that rank together with this one, number 0; the others
            :func:`gnnseg.distributed.follow`.

    Raises:
        CheckpointError: If the data are not those the run was trained on.
    """
    target = environment.find_device(device)
    data = prepare_again(saved, target, tracker)
    part, seen = (data.parts.valid, data.train) if split == "valid" else (data.parts.test, data.seen)
    held_out = data.of_known_users(part)
    metrics = data.config.metrics
    scorer, popularity = saved.scorer.to(target), data.popularity
    found = evaluate(scorer, held_out, seen, metrics, popularity, tracker=tracker, ranks=ranks)
    dismiss(ranks)
    segments: list[dict[str, Any]] = []
    if saved.memberships is not None:
        segments = found.by_segment(strongest(saved.memberships).numpy(), saved.memberships.shape[1])
    result = {split: found.means, f"{split}_intervals": found.intervals(), "segments": segments}
    if rules is not None:
        tagged = replace(saved, tags=data.dataset.tags)  # which runs of older versions do not keep
        result["reranking"] = reranking(tagged, found, held_out, seen, rules, tracker)
    if split == "valid":
        return result
    cold = {"cold_items": cold_items(saved.scorer, data), "cold_users": _cold_users_of(saved, data)}
    return result | {key: value for key, value in cold.items() if value is not None}


def _cold_users_of(saved: SavedRun, data: Prepared) -> dict[str, Any] | None:
    prior = load_prior(saved.folder) if saved.config.new_users is not None else None
    model, name = saved.model(), (saved.config.baseline or {}).get("name")
    graph = None if model is None else graph_of(saved)
    return cold_users(Newcomers(saved.scorer.cpu(), model, graph, name), prior, data)


def _run(config: Config, data: Prepared, progress: Progress, tracker: Tracker) -> Run:
    tracker.data(data.describe())
    environment.reset_peak_memory()
    clock = Clock()
    fitted = fit_scorer(config, data, progress, tracker, clock)
    segments = None if fitted.model is None else describe_segments(config, data, fitted.model, tracker)
    found = measure(config, data, fitted, progress.history, tracker, clock, progress.ranks)
    dismiss(progress.ranks)
    return replace(found, segments=segments)


def measure(
    config: Config,
    data: Prepared,
    fitted: Fitted,
    history: list[dict[str, Any]],
    tracker: Tracker,
    clock: Clock,
    ranks: Ranks | None = None,
) -> Run:
    """Rank validation and, once, test.

    Args:
        config: What was fitted.
        data: On what.
        fitted: The model.
        history: Epoch reports.
        tracker: Shown the progress.
        clock: With the seconds of fitting.
        ranks: The processes that rank together with this one, or None.

    Returns:
        The run, its segments not described.
    """
    features = fitted.features
    unit = None if features is None else F.normalize(features, dim=1).numpy()
    with clock("evaluate"):
        metrics, parts = data.config.metrics, data.parts
        known, tested = (data.of_known_users(part) for part in (parts.valid, parts.test))
        scorer, popularity = fitted.scorer, data.popularity
        valid = evaluate(scorer, known, data.train, metrics, ranks=ranks) if len(known) else None
        test = evaluate(scorer, tested, data.seen, metrics, popularity, unit, tracker, ranks)
        items = cold_items(fitted.scorer, data)
        users = cold_users(newcomers_of(config, data, fitted), fitted.prior, data)
    seconds = clock.seconds
    seconds["fit"] = sum(seconds[key] for key in ("text", "encoder", "segments", "head", "fit", "local"))
    return Run(
        config=config,
        data=data,
        scorer=fitted.scorer,
        model=fitted.model,
        valid=valid or Evaluation(np.empty(0, dtype=np.int64), {}),
        test=test,
        segments=None,
        history=history,
        decision=fitted.decision,
        mixture=fitted.mixture,
        local=fitted.local,
        new_items=fitted.new_items,
        cold_items=items,
        prior=fitted.prior,
        new_users=fitted.new_users,
        cold_users=users,
        seconds=seconds,
        peak_memory_mb=environment.peak_memory_mb(),
        text=fitted.text,
    )
