"""A new day: users, items and interactions folded into a saved run without training it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnseg.checkpoint import SavedRun, load_prior, load_run, save_prior, save_run
from gnnseg.config import Config
from gnnseg.data import Dataset, Interactions
from gnnseg.environment import describe
from gnnseg.errors import ConfigError
from gnnseg.files import write_json
from gnnseg.graph import BipartiteGraph
from gnnseg.manifest import seal
from gnnseg.model import SegmentRecommender
from gnnseg.ranking import top_k
from gnnseg.run_folder import unfinished
from gnnseg.scoring import Scorer, strongest
from gnnseg.stages import Progress, fit_stage
from gnnseg.tracking import Tracker
from gnnseg.update.grown import grown_model, grown_prior, grown_scorer
from gnnseg.update.links import Grown, grow, read

LIST = 10
"""Length of the lists that are compared."""

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
    grown, about = grow(run, *read(run, interactions, items))
    with unfinished(out) as partial:
        graph = BipartiteGraph(grown.train)
        model = None if run.config.encoder is None else grown_model(run, grown, graph)
        if model is not None and epochs:
            _fine_tune(run.config, model, graph, epochs, tracker)
        scorer = grown_scorer(run, run.scorer, grown, graph, model, True)
        dataset = Dataset(
            run.config.dataset.name,
            Interactions(*(part.astype(np.int64) for part in grown.train.nonzero())),
            grown.users,
            grown.items,
            None if grown.texts is None else tuple(grown.texts),
        )
        save_run(partial, run.config, dataset, scorer, model, grown.train, grown.seen)
        if run.config.new_users is not None:
            save_prior(partial, grown_prior(load_prior(run.folder), grown))
        after = None if model is None or model.segmenter is None else model.segmenter.memberships
        about |= {"epochs": epochs, **_changed(run, scorer, grown, after)}
        write_json(partial / "update.json", about)
        write_json(partial / "environment.json", describe(torch.device("cpu")))
        seal(partial)
    return about


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
