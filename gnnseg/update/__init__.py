"""A new day: users, items and interactions folded into a saved run without training it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnseg import model_card
from gnnseg.checkpoint import SavedRun, load_prior, load_run, save_prior, save_run
from gnnseg.config import Config
from gnnseg.data import Dataset
from gnnseg.environment import describe
from gnnseg.errors import ConfigError
from gnnseg.files import write_json, write_text
from gnnseg.fitting import describe_segments
from gnnseg.graph import BipartiteGraph
from gnnseg.manifest import seal
from gnnseg.model import SegmentRecommender
from gnnseg.prepared import UPDATE, Prepared
from gnnseg.ranking import top_k
from gnnseg.run_folder import unfinished
from gnnseg.scoring import Scorer, strongest
from gnnseg.stages import Progress, fit_stage
from gnnseg.tracking import JsonLines, Tracker, Trackers
from gnnseg.update.grown import grown_model, grown_prior, grown_scorer
from gnnseg.update.judged import Judged, fairness_of, metrics_of, pairs_of, prepared, prequential
from gnnseg.update.links import Grown, grow, read

LIST = 10
"""Length of the lists that are compared."""

TITLE = 60
"""Characters of a text that an item is called by; a run keeps no shorter names."""

MAX_USERS = 5000
"""Users whose lists are compared, at most."""


def update(
    folder: str | Path,
    interactions: Path,
    out: Path,
    *,
    items: Path | None = None,
    epochs: int = 0,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Fold new interactions into a run, and write a new one.

    Known users and items keep what was learned of them; propagation runs over the graph with the new links.
    New users start from a vector of zeros, as in ``fold_in``. New items of an encoder with free vectors start
    from their text, through a ridge regression of the known items' vectors on text features; without a text
    they are left out. Columns are called as in the run's own tables.

    The new run is a whole one. Its figures are those of the run before on what came next, ranked before it is
    folded in; segments are described anew, without refitting them.

    Args:
        folder: Of a finished run.
        interactions: csv, tsv, jsonl or parquet.
        out: The new run's folder; must not exist yet.
        items: Table of items with the texts of new ones.
        epochs: Of fine-tuning afterwards, by the run's own schedule; 0 for none.
        tracker: Told of progress.

    Returns:
        Content of ``update.json``: what was added, left out and changed.

    Raises:
        CheckpointError: If there is no run, or ``out`` exists.
        DataError: If a table cannot be read.
        ConfigError: If the run cannot be updated.
    """
    run, tracker = load_run(folder), tracker or Tracker()
    _refuse(run, epochs)
    grown, about = grow(run, read(run, interactions, items))
    with unfinished(out) as partial:
        judged = prequential(run, grown, tracker)
        both = Trackers([tracker, JsonLines(partial / "history.jsonl")])
        with both.following(partial, run.config.resolved(), _history(run)):
            graph = BipartiteGraph(grown.train)
            model = None if run.config.encoder is None else grown_model(run, grown, graph)
            if model is not None and epochs:
                _fine_tune(run.config, model, graph, epochs, both)
        scorer = grown_scorer(run, run.scorer, grown, graph, model, True)
        data = prepared(run, _dataset(run, grown), graph, grown.seen)
        save_run(partial, run.config, data.dataset, scorer, model, grown.train, grown.seen)
        if run.config.new_users is not None:
            save_prior(partial, grown_prior(load_prior(run.folder), grown))
        after = None if model is None or model.segmenter is None else model.segmenter.memberships
        about |= {"judged": judged.about | {"metrics": _told(judged)}}
        about |= {"epochs": epochs, **_changed(run, scorer, grown, after)}
        write_json(partial / UPDATE, about)
        _describe(partial, run, data, model, judged, tracker)
        seal(partial)
    return about


def _dataset(run: SavedRun, grown: Grown) -> Dataset:
    return Dataset(
        run.config.dataset.name,
        pairs_of(grown.train),
        grown.users,
        grown.items,
        None if grown.texts is None else tuple(grown.texts),
        titles=None if grown.texts is None else tuple(text[:TITLE] for text in grown.texts),
        tags=grown.tags,
    )


def _describe(
    folder: Path,
    run: SavedRun,
    data: Prepared,
    model: SegmentRecommender | None,
    judged: Judged,
    tracker: Tracker,
) -> None:
    """Write what makes a run's folder complete besides what recommends: figures, segments, the model card."""
    metrics, fair, segments = metrics_of(run, judged), fairness_of(run, judged), None
    if model is not None:
        segments = describe_segments(run.config, data, model, tracker, refit=False)
    sizes = {**data.describe(), "valid": int(data.seen.nnz - data.train.nnz)}
    write_json(folder / "metrics.json", metrics)
    if fair is not None:
        write_json(folder / "fairness.json", fair)
    if segments is not None:
        write_json(folder / "segments.json", segments)
    card = model_card.card(run.config, sizes, metrics, segments, fair)
    write_text(folder / model_card.FILE, card)
    write_json(folder / "environment.json", {**describe(torch.device("cpu")), "dataset": sizes})


def _history(run: SavedRun) -> list[dict[str, Any]]:
    """Epochs of the run before, which those of an update come after."""
    path = run.folder / "history.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.strip()]


def _told(judged: Judged) -> dict[str, Any]:
    return {} if judged.found is None else judged.found.intervals()


def _refuse(run: SavedRun, epochs: int) -> None:
    """Raise a ConfigError for runs that would have to be trained again."""
    name = (run.config.baseline or {}).get("name")
    if epochs < 0:
        raise ConfigError(f"'epochs' must be at least 0 (got {epochs})")
    if epochs and run.config.encoder is None:
        raise ConfigError(f"'epochs' fine-tunes an encoder; {name} has none")


def _fine_tune(
    config: Config, model: SegmentRecommender, graph: BipartiteGraph, epochs: int, tracker: Tracker
) -> None:
    """A few epochs of the run's last stage on all links, without validation."""
    stage = 2 if model.head is not None else 1
    key = "fine_tune" if stage == 2 else "train"
    schedule = getattr(config, key).model_copy(update={"epochs": epochs})
    short = config.model_copy(update={key: schedule})
    fit_stage(short, model.train(), graph, lambda: float("nan"), Progress(stage=stage), tracker)


def _changed(run: SavedRun, scorer: Scorer, grown: Grown, after: Tensor | None) -> dict[str, Any]:
    """How much of known users' lists is new, and how many of them moved between segments."""
    known = len(run.users)
    rows = np.unique(np.linspace(0, known - 1, min(MAX_USERS, known)).astype(np.int64))
    k = min(LIST, len(run.items))
    before = top_k(run.scorer, rows, k, run.seen)
    now = top_k(scorer, rows, k, grown.seen)
    lists = [
        (set(a[np.isfinite(x)].tolist()), set(b[np.isfinite(y)].tolist()))
        for a, x, b, y in zip(*before, *now, strict=True)
    ]
    shares = [len(new - old) / max(1, len(new)) for old, new in lists]
    moves = None
    if after is not None and run.memberships is not None:
        moved = strongest(after[:known]) != strongest(run.memberships)
        moves = {"users": int(moved.sum()), "share": float(moved.double().mean())}
    return {
        "changed_share_of_top": {"k": k, "users": len(rows), "share": float(np.mean(shares))},
        "segment_moves": moves,
    }
