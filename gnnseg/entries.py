"""Models side by side on the same users: what their runs gave, intervals and paired tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gnnseg.config import Config
from gnnseg.pipeline import Run
from gnnseg.prepared import Prepared
from gnnseg.seeding import numpy_rng
from gnnseg.statistics import compare, holm, mean_interval


@dataclass
class Entry:
    """One model of a benchmark with a run for each seed.

    Attributes:
        config: Of the first seed.
        runs: Content of ``runs`` in ``results.json``.
        per_user: For each metric, each user's mean over seeds, ``[n]``.
        parameters: ``total`` and ``trainable``.
    """

    config: Config
    runs: list[dict[str, Any]] = field(default_factory=list)
    per_user: dict[str, list[np.ndarray]] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)

    def add(self, result: Run) -> None:
        """Keep what tables need of one run."""
        self.parameters = result.parameters
        for metric, values in result.test.per_user.items():
            self.per_user.setdefault(metric, []).append(values)
        self.runs.append(
            {
                "seed": result.config.seed,
                "metrics": result.test.means,
                "valid_metrics": result.valid.means,
                "segments": result.segment_metrics(),
                "decision": result.decision,
                "mixture": result.mixture,
                "local": result.local,
                "seconds": result.seconds,
                "peak_memory_mb": result.peak_memory_mb,
                "text": result.text,
            }
        )

    def mean_over_seeds(self, metric: str) -> np.ndarray:
        """Each user's mean over seeds, ``[n]``."""
        return np.mean(self.per_user[metric], axis=0)  # type: ignore[no-any-return]

    def as_json(self) -> dict[str, Any]:
        """Content of ``models`` in ``results.json``."""
        return {
            "name": self.config.name,
            "config": self.config.resolved(),
            "parameters": self.parameters,
            "runs": self.runs,
            "metrics": {m: _interval(self.mean_over_seeds(m)) for m in self.per_user},
        }


def protocol(data: Prepared) -> dict[str, Any]:
    """Content of ``dataset`` and ``protocol`` in ``results.json``."""
    config = data.config
    return {
        "dataset": data.describe(),
        "protocol": {
            "filters": config.filters.model_dump(),
            "split": config.split,
            "metrics": list(config.metrics),
            "chosen_on": "valid",
            "seen_masked": ["train", "valid"],
            "skipped_users": data.dataset.num_users - len(np.unique(data.parts.test.users)),
            "dropped_interactions": data.parts.dropped,
        },
    }


def comparisons(entries: Sequence[Entry], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """The last model against each of the others on each metric; p-values adjusted within a metric (Holm)."""
    *others, last = entries
    rows: list[dict[str, Any]] = []
    for metric in metrics:
        found = [
            compare(last.mean_over_seeds(metric), other.mean_over_seeds(metric), numpy_rng(0, "bootstrap"))
            for other in others
        ]
        for other, result, adjusted in zip(others, found, holm([r.p for r in found]), strict=True):
            rows.append(
                {
                    "model": last.config.name,
                    "baseline": other.config.name,
                    "metric": metric,
                    "difference": result.difference,
                    "relative": result.relative,
                    "low": result.low,
                    "high": result.high,
                    "p": result.p,
                    "p_adjusted": adjusted,
                    "users": result.users,
                }
            )
    return rows


def _interval(values: np.ndarray) -> dict[str, float]:
    found = mean_interval(values, numpy_rng(0, "bootstrap"))
    return {"mean": found.mean, "low": found.low, "high": found.high}
