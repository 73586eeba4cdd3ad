"""What segments bring: a system against its global model, controls and parts, tested user by user."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from gnnseg import environment
from gnnseg.config import Config
from gnnseg.disclosure import MIN_USERS
from gnnseg.entries import Entry, comparisons, protocol
from gnnseg.errors import ConfigError
from gnnseg.fitting import Fitted, fit_global, fit_segmented
from gnnseg.graph import BipartiteGraph
from gnnseg.mixing import mix
from gnnseg.model import SegmentRecommender
from gnnseg.pipeline import Run, measure
from gnnseg.prepared import Prepared, item_features, item_terms, prepare
from gnnseg.scoring import Mixture, Scorer
from gnnseg.seeding import numpy_rng
from gnnseg.spectral import hold_out
from gnnseg.stages import Progress
from gnnseg.statistics import compare
from gnnseg.tracking import Clock, Tracker
from gnnseg.variants import Variant, full_row, variants

HISTORIES = {"none": (0, 0), "short": (1, 5), "long": (6, 2**62)}
"""Training interactions of a user, from and to."""

THINNED = 0.1
"""Share of edges that each member of an ensemble is fitted without, where an encoder draws nothing."""


def ablate(
    config: Config,
    *,
    seeds: int = 3,
    only: Sequence[str] | None = None,
    tracker: Tracker | None = None,
    prepared: Prepared | None = None,
) -> dict[str, Any]:
    """Compare a segmented system with its global model, with controls and with its parts.

    Args:
        config: With a segmenter and a head, a local model or both; its seed is the first.
        seeds: How many seeds of training; the split stays.
        only: Names of rows to fit beside the global model and the full system; None for all.
        tracker: Shown the progress.
        prepared: The config's dataset, if it was prepared before.

    Returns:
        Content of ``results.json``: the global model first, the full system last, which is compared with each
        of the others, and with the global model by segment and by length of history.

    Raises:
        ConfigError: If there are no segments to study, or for an unknown row.
    """
    started = time.perf_counter()
    if seeds < 1:
        raise ConfigError(f"'seeds' must be positive (got {seeds})")
    _chosen(variants(config, 1), only)  # refuses at once what has no segments, and unknown rows
    tracker = tracker or Tracker()
    data = prepared or prepare(config.dataset, environment.find_device(config.device), tracker)
    tracker.data(data.describe())
    study = _Study(data, tracker)
    for seed in range(config.seed, config.seed + seeds):
        study.add(config.model_copy(update={"seed": seed}), only)
    entries = study.ordered()
    return {
        "format": 1,
        "command": "ablate",
        **protocol(data),
        "models": [{**entry.as_json(), **study.about[entry.config.name]} for entry in entries],
        "comparisons": comparisons(entries, data.config.metrics),
        "segments": study.by_segment(config.choose_by),
        "histories": study.by_history(config.choose_by),
        "environment": {**environment.describe(data.graph.device), "seconds": time.perf_counter() - started},
    }


class _Study:
    """The rows so far."""

    def __init__(self, data: Prepared, tracker: Tracker) -> None:
        self.data = data
        self.tracker = tracker
        self.entries: dict[str, Entry] = {}
        self.about: dict[str, dict[str, str]] = {}
        self.labels: np.ndarray = np.empty(0, dtype=np.int64)
        self.users: np.ndarray = np.empty(0, dtype=np.int64)

    def add(self, config: Config, only: Sequence[str] | None) -> None:
        """Fit and measure every row with one seed; the full system first, as it tells how many segments."""
        clock = Clock()
        features, text = item_features(config, self.data, self.tracker, clock)
        progress = Progress()
        model = fit_global(config, self.data, features, progress, self.tracker, clock)
        full = self._fit(full_row(config), model, progress, clock)
        segmenter = None if full.model is None else full.model.segmenter
        if segmenter is None:
            raise ConfigError(f"'{config.name}' has no segments to ablate")
        rows = _chosen(variants(config, segmenter.num_segments), only)
        if not len(self.labels):
            self.labels = segmenter.labels.cpu().numpy()
        with self.tracker.task(f"ablation, seed {config.seed}", len(rows)) as task:
            for row in rows:
                environment.reset_peak_memory()
                own = Clock()
                own.seconds.update(_shared(clock, row, config))
                if row.role == "full":
                    found, own = full, clock
                elif row.members > 1:
                    found = self._ensemble(row, features, own)
                elif row.config.encoder != config.encoder:
                    found = self._alone(row, features, own)
                else:
                    found = self._fit(row, model, progress, own)
                found = found._replace(features=features, text=text)
                self._keep(row, measure(row.config, self.data, found, [], self.tracker, own))
                task.advance()

    def _fit(self, row: Variant, model: SegmentRecommender, progress: Progress, clock: Clock) -> Fitted:
        """A row on a copy of the global model."""
        own = Progress(global_value=progress.global_value)
        return fit_segmented(row.config, self.data, copy.deepcopy(model), own, self.tracker, clock)

    def _alone(self, row: Variant, features: torch.Tensor | None, clock: Clock) -> Fitted:
        """A row with an encoder of its own."""
        progress = Progress()
        model = fit_global(row.config, self.data, features, progress, self.tracker, clock)
        return fit_segmented(row.config, self.data, model, progress, self.tracker, clock)

    def _ensemble(self, row: Variant, features: torch.Tensor | None, clock: Clock) -> Fitted:
        """Global models from other seeds; fitted on other edges where seeds make no difference."""
        scorers: list[Scorer] = []
        for member in range(row.members):
            config = row.config.model_copy(update={"seed": row.config.seed + 1000 * (member + 1)})
            data = self.data
            if not config.train.epochs:
                kept, _ = hold_out(data.train, THINNED, config.seed)
                data = replace(data, graph=BipartiteGraph(kept, data.graph.device))
            model = fit_global(config, data, features, Progress(), self.tracker, clock)
            scorers.append(model.scorer(self.data.graph))
        total: Scorer = Mixture(scorers, torch.ones(len(scorers)))
        if not row.config.terms:
            return Fitted(total, None)
        scorer, mixture = mix(row.config, self.data, total, item_terms(row.config, self.data, clock))
        return Fitted(scorer, None, mixture=mixture)

    def _keep(self, row: Variant, result: Run) -> None:
        self.users = result.test.users
        self.about[row.name] = {"role": row.role, "about": row.about}
        if row.name not in self.entries:
            self.entries[row.name] = Entry(row.config)
        self.entries[row.name].add(result)

    def ordered(self) -> list[Entry]:
        """Entries of the table, the global model first, the full system last."""
        return list(self.entries.values())

    def by_segment(self, metric: str) -> list[dict[str, Any]]:
        """The full system against the global model within each segment of the first seed."""
        labels = self.labels[self.users]
        return [
            {"segment": int(s), **self._within(labels == s, metric)}
            for s in range(int(self.labels.max()) + 1)
        ]

    def by_history(self, metric: str) -> list[dict[str, Any]]:
        """The full system against the global model for users with no, few and many training interactions."""
        lengths = np.diff(self.data.train.indptr)[self.users]
        return [
            {"history": name, "from": least, "to": most if most < 2**62 else None}
            | self._within((lengths >= least) & (lengths <= most), metric)
            for name, (least, most) in HISTORIES.items()
        ]

    def _within(self, chosen: np.ndarray, metric: str) -> dict[str, Any]:
        """Both models' mean over some users, and the paired difference; no numbers of fewer than 10 users."""
        full, base = (self.entries[name].mean_over_seeds(metric)[chosen] for name in ("full", "global"))
        if chosen.sum() < MIN_USERS:
            few = None if chosen.any() else 0
            return {"metric": metric, "users": few, "global": None, "full": None}
        found = compare(full, base, numpy_rng(0, "bootstrap"))
        return {
            "metric": metric,
            "users": found.users,
            "global": float(base.mean()),
            "full": float(full.mean()),
            "difference": found.difference,
            "relative": found.relative,
            "low": found.low,
            "high": found.high,
            "p": found.p,
        }


def _shared(clock: Clock, row: Variant, config: Config) -> dict[str, float]:
    """Seconds of what a row is built on: text, and the global model's encoder unless it has its own ones."""
    own = row.members > 1 or row.config.encoder != config.encoder
    steps = ("text",) if own else ("text", "encoder")
    return {key: value for key, value in clock.seconds.items() if key in steps}


def _chosen(rows: list[Variant], only: Sequence[str] | None) -> list[Variant]:
    """The rows asked for, and always the first and the last.

    Raises:
        ConfigError: For an unknown row.
    """
    if only is None:
        return rows
    known = [row.name for row in rows]
    for name in only:
        if name not in known:
            raise ConfigError(f"'{name}' is no row of this ablation; known: {', '.join(known)}")
    return [row for row in rows if row.name in only or row.role in ("global", "full")]
