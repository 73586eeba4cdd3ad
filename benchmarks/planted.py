"""Planted groups: how well segmenters recover them, and what segments bring where groups differ.

    python benchmarks/planted.py --out benchmarks/results/planted

Prints JSON; with ``--out`` also writes ``results.json`` and the plot of the curve there. Each seed of the
curve draws another world; its intervals are Student's over seeds. The ablation is that of ``planted/full``,
once with the groups that its segmenter finds and once with the true ones.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from shared import output
from sklearn.metrics import adjusted_rand_score

from gnnseg.ablation import ablate
from gnnseg.config import Config, load_config
from gnnseg.environment import describe
from gnnseg.fitting import fit_global
from gnnseg.prepared import Prepared, prepare
from gnnseg.report.plots import curves, save
from gnnseg.seeding import numpy_rng
from gnnseg.segments import SEGMENTERS
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Tracker

SIGNALS = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
CPU = torch.device("cpu")


def segmenters(num_groups: int) -> dict[str, dict[str, Any]]:
    """What is compared, by name; Leiden is not told how many groups there are."""
    told = {"num_segments": num_groups}
    clusters, both = {"name": "KMeans", **told}, {"name": "CoClustering", **told}
    views = [{"name": "Leiden"}, clusters, both]
    return {
        "Leiden": {"name": "Leiden"},
        "KMeans": clusters,
        "CoClustering": both,
        "Consensus": {"name": "Consensus", "views": views, **told},
    }


def world(config: Config, **changes: Any) -> Prepared:
    """The config's planted data with other parameters of its source."""
    source = {**config.dataset.source, **changes}
    return prepare(config.dataset.model_copy(update={"source": source}), CPU, Tracker())


def recovered(config: Config, signal: float, seed: int) -> dict[str, float]:
    """The adjusted Rand index of each segmenter with the true groups, in one world."""
    data = world(config, signal=signal, seed=seed)
    assert data.dataset.user_table is not None
    truth = data.dataset.user_table["group"].to_list()
    seeded = config.model_copy(update={"seed": seed})
    model = fit_global(seeded, data, None, Progress(), Tracker(), Clock())
    found = {}
    for name, spec in segmenters(config.dataset.source["num_groups"]).items():
        segmenter = SEGMENTERS.create(spec)
        segmenter.fit(data.graph, model.embed(data.graph), numpy_rng(seed, "segments"), data.users)
        found[name] = float(adjusted_rand_score(truth, segmenter.labels.numpy()))
    return found


def curve(config: Config, signals: Sequence[float], seeds: int) -> dict[str, list[dict[str, float]]]:
    """For each segmenter and signal the mean index over worlds with its 95 % interval."""
    points: dict[str, list[dict[str, float]]] = {}
    for signal in signals:
        worlds = [recovered(config, signal, seed) for seed in range(seeds)]
        for name in worlds[0]:
            values = np.array([found[name] for found in worlds])
            half = stats.t.ppf(0.975, seeds - 1) * values.std(ddof=1) / seeds**0.5 if seeds > 1 else 0.0
            point = {"signal": signal, "mean": values.mean(), "low": values.mean() - half}
            points.setdefault(name, []).append({**point, "high": min(1.0, values.mean() + half)})
    return points


def study(config: Config, seeds: int, only: Sequence[str] | None) -> dict[str, Any]:
    """The ablation of a config on its own data."""
    found = ablate(config, seeds=seeds, only=only)
    for model in found["models"]:
        model.pop("config")  # follows from that of the full system
    return {**found, "config": config.resolved()}


def measure(config: Config, signals: Sequence[float], worlds: int, seeds: int, quick: bool) -> dict[str, Any]:
    """Everything."""
    started = time.perf_counter()
    truth = {"segmenter": {"name": "ByColumn", "columns": ["group"]}, "name": "true groups"}
    told = Config.model_validate({**config.resolved(), **truth})
    controls = ["random segments", "ensemble", "one segment"]
    return {
        "source": config.dataset.source,
        "worlds": worlds,
        "recovery": curve(config, signals, worlds),
        "ablation": study(config, seeds, controls if quick else None),
        "true_groups": study(told, seeds, controls),
        "environment": {**describe(CPU), "seconds": time.perf_counter() - started},
    }


def plot(recovery: Mapping[str, Sequence[Mapping[str, float]]], folder: Path) -> None:
    """The index over the signal, as PNG and SVG."""
    figure = curves(
        recovery,
        "signal",
        "signal (log of how much likelier at home)",
        "adjusted Rand index",
        "Planted groups",
    )
    save(figure, folder / "recovery")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--signals", default=",".join(map(str, SIGNALS)))
    parser.add_argument("--worlds", type=int, default=5, help="seeds of the curve")
    parser.add_argument("--seeds", type=int, default=3, help="of the ablation")
    parser.add_argument("--quick", action="store_true", help="no rows but the controls")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = load_config("planted/full", options.overrides, device="cpu")
    signals = [float(signal) for signal in options.signals.split(",")]
    found = measure(config, signals, options.worlds, options.seeds, options.quick)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        plot(found["recovery"], options.out)
    output(found, None if options.out is None else options.out / "results.json")


if __name__ == "__main__":
    main()
