"""Compare settings of a config on validation: every combination of the given values, several seeds.

    python benchmarks/choose.py movielens/lightgcn train.learning_rate=0.01,0.02 encoder.num_layers=2,3
    python benchmarks/choose.py movielens-1m/full term.regularization=2,5,15 --data FOLDER

Prints a line of JSON for each combination, the best last, with the mean over seeds of each validation metric.
Gates of a local model are chosen on validation, so that its gain is told apart, on users that they were not
chosen on. Test is never looked at here.
"""

from __future__ import annotations

import argparse
import itertools
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from shared import dataset_config

from gnnseg.config import load_config
from gnnseg.evaluation import evaluate
from gnnseg.fitting import fit_scorer
from gnnseg.prepared import prepare
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Tracker


def measure(job: tuple[str, tuple[str, ...], int, Path | None]) -> dict[str, Any]:
    """Validation figures of one combination with one thread."""
    name, overrides, seeds, folder = job
    torch.set_num_threads(1)
    cpu, found, epochs, seconds = torch.device("cpu"), [], [], []
    gains: list[dict[str, Any]] = []
    weights = []
    config = load_config(name, overrides)
    if folder is not None:
        config = config.model_copy(update={"dataset": dataset_config(config.dataset.name, folder)})
    data = prepare(config.dataset, cpu)
    for seed in range(seeds):
        progress, clock = Progress(), Clock()
        fitted = fit_scorer(config.model_copy(update={"seed": seed}), data, progress, Tracker(), clock)
        if fitted.mixture is not None:
            weights.append(fitted.mixture["weights"])
        if fitted.local is not None:
            told = ("relative", "low", "high", "p", "served")
            gains.append({key: fitted.local[key] for key in told})
        metrics = dict.fromkeys([*config.dataset.metrics, config.choose_by])
        found.append(evaluate(fitted.scorer, data.parts.valid, data.train, list(metrics)).means)
        epochs.append(len(progress.history))
        seconds.append(sum(clock.seconds.values()))
    values = [means[config.choose_by] for means in found]
    return {
        "settings": dict(o.split("=", 1) for o in overrides),
        "valid": round(float(np.mean(values)), 4),
        "std": round(float(np.std(values)), 4),
        "metrics": {m: round(float(np.mean([f[m] for f in found])), 4) for m in found[0]},
        "term_weights": weights,
        "gains": gains,
        "epochs": epochs,
        "seconds": round(float(np.mean(seconds)), 1),
    }


def main() -> None:
    """Read the grid from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config")
    parser.add_argument("grid", nargs="*", help="key=value,value,...")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder with the files of the dataset")
    options = parser.parse_args()
    axes = []
    for axis in options.grid:
        key, _, values = axis.partition("=")
        parsed = yaml.safe_load(f"[{values}]")
        axes.append([f"{key}={json.dumps(value)}" for value in parsed])
    jobs = [(options.config, one, options.seeds, options.data) for one in itertools.product(*axes)]
    found = []
    with ProcessPoolExecutor(options.processes) as pool:
        for result in pool.map(measure, jobs):
            found.append(result)
            print(json.dumps(result), flush=True)
    print(json.dumps({"best": max(found, key=lambda r: r["valid"])}))


if __name__ == "__main__":
    main()
