"""A run from tables to figures: split, features, stage 1, segments, stage 2, evaluate, save."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg import environment
from gnnseg.baselines import BASELINES
from gnnseg.checkpoint import (
    SavedRun,
    partial_folder,
    refuse_existing,
    refuse_interrupted,
    save_run,
    unfinished,
)
from gnnseg.config import Config, DatasetConfig, load_config
from gnnseg.data import SOURCES, SPLITS, Dataset, Parts
from gnnseg.encoders import ENCODERS
from gnnseg.errors import CheckpointError, ConfigError, DataError
from gnnseg.evaluation import Evaluation, evaluate, segment_gap
from gnnseg.files import write_json, write_text
from gnnseg.graph import BipartiteGraph
from gnnseg.heads import HEADS
from gnnseg.model import SegmentRecommender
from gnnseg.scoring import Scorer
from gnnseg.seeding import numpy_rng, seed_torch
from gnnseg.segments import SEGMENTERS
from gnnseg.segments.profiles import profiles
from gnnseg.segments.quality import quality, stability
from gnnseg.stages import Progress, fit_stage
from gnnseg.text import TEXT_ENCODERS
from gnnseg.tracking import JsonLines, Tracker, Trackers


@dataclass(frozen=True)
class Prepared:
    """A dataset ready to train on.

    Attributes:
        config: Where it came from.
        dataset: Filtered.
        parts: Train, valid and test.
        graph: Of the training interactions, on the run's device.
        train: Training interactions, ``[U, I]``.
        seen: Training and validation interactions, ``[U, I]``.
        features: Text features computed so far, by encoder spec: tensor, seconds and description.
    """

    config: DatasetConfig
    dataset: Dataset
    parts: Parts
    graph: BipartiteGraph
    train: sp.csr_matrix
    seen: sp.csr_matrix
    features: dict[str, tuple[Tensor, float, dict[str, Any]]] = field(default_factory=dict)

    @property
    def popularity(self) -> np.ndarray:
        """Training interactions of each item, ``[I]``."""
        return np.bincount(self.parts.train.items, minlength=self.dataset.num_items)

    def describe(self) -> dict[str, Any]:
        """Name, digest and sizes."""
        dataset, parts = self.dataset, self.parts
        return {
            "name": dataset.name,
            "digest": dataset.digest,
            "users": dataset.num_users,
            "items": dataset.num_items,
            "train": len(parts.train),
            "valid": len(parts.valid),
            "test": len(parts.test),
        }


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
    seconds: dict[str, float]
    peak_memory_mb: float
    text: dict[str, Any] | None

    @property
    def metrics(self) -> dict[str, Any]:
        """Content of ``metrics.json``."""
        per_segment = self.segment_metrics()
        metric = self.config.choose_by
        test = self.test.means
        if metric in self.test.per_user:
            test["segment_gap"] = segment_gap(per_segment, metric)  # type: ignore[assignment]
        return {
            "test": test,
            "valid": self.valid.means,
            "test_intervals": self.test.intervals(),
            "segments": per_segment,
            "skipped_users": self.test.skipped,
            "decision": self.decision,
        }

    def segment_metrics(self) -> list[dict[str, Any]]:
        """Test metrics of the users in each segment; empty without segments."""
        if self.model is None or self.model.segmenter is None:
            return []
        segmenter = self.model.segmenter
        return self.test.by_segment(segmenter.labels.cpu().numpy(), segmenter.num_segments)

    @property
    def parameters(self) -> dict[str, int]:
        """Numbers of parameters, ``total`` and ``trainable`` in the last stage."""
        return {"total": 0, "trainable": 0} if self.model is None else self.model.parameter_counts()


def fit(source: str | Path | Mapping[str, Any], out: str | Path | None = None, **changes: Any) -> Run:
    """Train and evaluate one experiment.

    Args:
        source: Name of a shipped config, path of a YAML file, or the content of one.
        out: Folder to save the run in; must not exist yet.
        changes: Top-level keys of the config to replace, such as ``seed=1``.

    Returns:
        The run, with ``metrics``, ``scorer``, ``segments`` and more.
    """
    return run(load_config(source, **changes), out=None if out is None else Path(out))


def load_dataset(config: DatasetConfig) -> Dataset:
    """Read and filter a dataset."""
    source = SOURCES.create(config.source, Path(config.folder))
    return config.filters.apply(source.load(config.name))


def prepare(config: DatasetConfig, device: torch.device) -> Prepared:
    """Read, filter and split a dataset, and build the graph of its training part.

    Raises:
        DataError: If there is too little of it.
    """
    dataset = load_dataset(config)
    if min(dataset.num_users, dataset.num_items) < 2:
        raise DataError(
            f"'{dataset.name}' has {dataset.num_users} user(s) and {dataset.num_items} item(s); "
            "at least two of each are needed"
        )
    parts = SPLITS.create(config.split).split(dataset)
    shape = (dataset.num_users, dataset.num_items)
    train = parts.train.matrix(*shape)
    seen = (parts.train + parts.valid).matrix(*shape)
    return Prepared(config, dataset, parts, BipartiteGraph(train, device), train, seen)


def run(
    config: Config,
    *,
    out: Path | None = None,
    resume: Path | None = None,
    tracker: Tracker | None = None,
    prepared: Prepared | None = None,
) -> Run:
    """Run one experiment.

    Args:
        config: What to do.
        out: Folder to save in; nothing appears under this name before the run is complete.
        resume: Folder of an interrupted run to go on with; ``out`` then follows from it.
        tracker: Told of progress and epochs.
        prepared: The config's dataset, if it was prepared before.

    Raises:
        GnnsegError: For anything a user can mend.
    """
    tracker = tracker or Tracker()
    device = environment.find_device(config.device)
    if resume is not None:
        out = finished_folder(resume)
    if out is None:
        return _run(config, prepared or prepare(config.dataset, device), Progress(), tracker)
    refuse_existing(out)
    if resume is None:
        refuse_interrupted(out)
        shutil.rmtree(partial_folder(out), ignore_errors=True)
    with unfinished(out) as partial:
        progress = Progress(folder=partial) if resume is None else Progress.resume(partial)
        history = partial / "history.jsonl"
        write_text(history, "")
        both = Trackers([tracker, lines := JsonLines(history)])
        for record in progress.history:
            lines.log(record)
        write_text(partial / "config.yaml", config.to_yaml())
        result = _run(config, prepared or prepare(config.dataset, device), progress, both)
        save(result, partial)
    return result


def finished_folder(partial: Path) -> Path:
    """The final name of an interrupted run, given either name.

    Raises:
        CheckpointError: If there is nothing to resume.
    """
    name = partial.name
    if name.startswith(".") and name.endswith(".partial"):
        out = partial.with_name(name[1 : -len(".partial")])
    else:
        out = partial
    if not partial_folder(out).is_dir():
        raise CheckpointError(
            f"there is no interrupted run '{out}' to resume (looked for '{partial_folder(out)}')"
        )
    return out


def save(result: Run, folder: Path) -> None:
    """Write a finished run into an existing folder."""
    data = result.data
    save_run(folder, result.config, data.dataset, result.scorer, result.model, data.train, data.seen)
    write_json(folder / "metrics.json", result.metrics)
    if result.segments is not None:
        write_json(folder / "segments.json", result.segments)
    about = environment.describe(data.graph.device)
    measured = {"seconds": result.seconds, "peak_memory_mb": result.peak_memory_mb}
    write_json(
        folder / "environment.json", {**about, "dataset": data.describe(), "text": result.text, **measured}
    )


def evaluate_run(
    saved: SavedRun, split: str, device: str = "auto", tracker: Tracker | None = None
) -> dict[str, Any]:
    """Measure a saved run again on the data its config names.

    Args:
        saved: A finished run.
        split: ``valid`` or ``test``.
        device: Where to rank.
        tracker: Shown the progress.

    Raises:
        CheckpointError: If the data are not those the run was trained on.
    """
    target = environment.find_device(device)
    data = prepare(saved.config.dataset, target)
    ids = [(data.dataset.users, saved.users), (data.dataset.items, saved.items)]
    if any(now.ids != then.ids for now, then in ids) or (data.seen != saved.seen).nnz:
        raise CheckpointError(
            f"the data of '{saved.folder}' have changed since it was trained; train it again"
        )
    held_out, seen = (data.parts.valid, data.train) if split == "valid" else (data.parts.test, data.seen)
    metrics = data.config.metrics
    found = evaluate(saved.scorer.to(target), held_out, seen, metrics, data.popularity, tracker=tracker)
    segments: list[dict[str, Any]] = []
    if saved.memberships is not None:
        segments = found.by_segment(saved.memberships.argmax(1).numpy(), saved.memberships.shape[1])
    return {split: found.means, f"{split}_intervals": found.intervals(), "segments": segments}


def _run(config: Config, data: Prepared, progress: Progress, tracker: Tracker) -> Run:
    environment.reset_peak_memory()
    clock = Clock()
    features, text = item_features(config, data, tracker, clock)
    model: SegmentRecommender | None = None
    decision: dict[str, Any] | None = None
    if config.baseline is not None:
        with clock("fit"):
            scorer = BASELINES.create(config.baseline).fit(data.graph).to(data.graph.device)
    else:
        model, decision = _fit(config, data, features, progress, tracker, clock)
        scorer = model.scorer(data.graph)
    unit = None if features is None else torch.nn.functional.normalize(features, dim=1).numpy()
    with clock("evaluate"):
        metrics, parts = data.config.metrics, data.parts
        valid = evaluate(scorer, parts.valid, data.train, metrics) if len(parts.valid) else None
        test = evaluate(scorer, parts.test, data.seen, metrics, data.popularity, unit, tracker)
    seconds = clock.seconds
    seconds["fit"] = sum(seconds[key] for key in ("text", "encoder", "segments", "head", "fit"))
    return Run(
        config=config,
        data=data,
        scorer=scorer,
        model=model,
        valid=valid or Evaluation(np.empty(0, dtype=np.int64), {}),
        test=test,
        segments=None if model is None else describe_segments(config, data, model, tracker),
        history=progress.history,
        decision=decision,
        seconds=seconds,
        peak_memory_mb=environment.peak_memory_mb(),
        text=text,
    )


def item_features(
    config: Config, data: Prepared, tracker: Tracker, clock: Clock
) -> tuple[Tensor | None, dict[str, Any] | None]:
    """Text features of the items, ``[I, f]``, and how they were made; computed once for each encoder."""
    if config.text is None:
        return None, None
    texts = data.dataset.texts
    if texts is None:
        raise ConfigError(
            f"'text' is configured, but dataset '{data.dataset.name}' has no item texts; remove it"
        )
    key = json.dumps(config.text, sort_keys=True)
    if key not in data.features:
        encoder = TEXT_ENCODERS.create(config.text)
        encoder.device = data.graph.device
        started = time.perf_counter()
        with tracker.task("text", len(texts)) as task:
            features = encoder.encode(texts, task.advance)
        data.features[key] = (features, time.perf_counter() - started, encoder.describe())
    features, seconds, description = data.features[key]
    clock.seconds["text"] += seconds
    return features, description


def _fit(
    config: Config,
    data: Prepared,
    features: Tensor | None,
    progress: Progress,
    tracker: Tracker,
    clock: Clock,
) -> tuple[SegmentRecommender, dict[str, Any] | None]:
    graph, dataset = data.graph, data.dataset
    seed_torch(config.seed, "encoder")
    encoder = ENCODERS.create(config.encoder or {}, dataset.num_users, dataset.num_items, features)
    model = SegmentRecommender(encoder).to(graph.device)
    model.encoder.warm_start(graph)

    def validate() -> float:
        if not len(data.parts.valid):
            return float("nan")
        found = evaluate(model.scorer(graph), data.parts.valid, data.train, [config.choose_by])
        return float(found.per_user[config.choose_by].mean())

    if progress.stage == 1:
        with clock("encoder"):
            progress.global_value = fit_stage(config, model, graph, validate, progress, tracker).value
    if config.segmenter is None or config.head is None:
        return model, None
    with clock("segments"), tracker.task("segments", 1) as task:
        _add_segments(config, model, graph, progress)
        task.advance()
    progress.stage = 2
    with clock("head"):
        best = fit_stage(config, model, graph, validate, progress, tracker)
    decision = {
        "metric": config.choose_by,
        "global": progress.global_value,
        "segmented": best.value,
        "epoch": best.epoch,
        "served": "segmented" if best.epoch > 0 else "global",
    }
    return model, decision


def _add_segments(
    config: Config, model: SegmentRecommender, graph: BipartiteGraph, progress: Progress
) -> None:
    """Fit segments on the global model and put an identity head on it; stage 2 resumed needs sizes only."""
    segmenter = SEGMENTERS.create(config.segmenter or {}).to(graph.device)
    if progress.resumed is None:
        segmenter.fit(graph, model.embed(graph), numpy_rng(config.seed, "segments"))
        num_segments = segmenter.num_segments
    else:
        num_segments = progress.resumed[0]["model.segmenter.memberships"].shape[1]
    seed_torch(config.seed, "head")
    head = HEADS.create(config.head or {}, model.encoder.dim, num_segments).to(graph.device)
    model.add_segments(segmenter, head)


def describe_segments(
    config: Config, data: Prepared, model: SegmentRecommender, tracker: Tracker
) -> dict[str, Any] | None:
    """Content of ``segments.json``: how many, how good, and the profile of each."""
    segmenter = model.segmenter
    if segmenter is None or config.segmenter is None:
        return None
    spec = config.segmenter
    embeddings = model.encoder(data.graph)
    embeddings = type(embeddings)(embeddings.users.detach(), embeddings.items.detach())
    with tracker.task("segment quality", 1) as task:
        measured = quality(segmenter, data.graph, embeddings, numpy_rng(config.seed, "quality"))
        rngs = [numpy_rng(config.seed, f"stability {n}") for n in range(3)]
        measured["stability"] = stability(
            lambda: SEGMENTERS.create(spec).to(data.graph.device), data.graph, embeddings, rngs
        )
        task.advance()
    memberships = segmenter.memberships.cpu().numpy()
    found = profiles(data.graph, memberships, data.dataset.item_names, data.dataset.tags)
    return {"num_segments": segmenter.num_segments, "quality": measured, "segments": found}


class Clock:
    """Adds up wall time by step, in seconds."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(("text", "encoder", "segments", "head", "fit", "evaluate"), 0.0)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time a block."""
        started = time.perf_counter()
        yield
        self.seconds[step] += time.perf_counter() - started
