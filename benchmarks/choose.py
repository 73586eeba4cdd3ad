"""Compare settings of a config on validation: every combination of the given values, several seeds.

    python benchmarks/choose.py movielens/lightgcn train.learning_rate=0.01,0.02 encoder.num_layers=2,3

Prints a line of JSON for each combination, the best last. Test is never shown here.
"""

from __future__ import annotations

import argparse
import itertools
import json
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import torch
import yaml

from gnnseg.config import load_config
from gnnseg.pipeline import run


def measure(job: tuple[str, tuple[str, ...], int]) -> dict[str, Any]:
    """Validation figures of one combination with one thread."""
    name, overrides, seeds = job
    torch.set_num_threads(1)
    values, epochs, seconds = [], [], []
    for seed in range(seeds):
        config = load_config(name, overrides, seed=seed)
        result = run(config)
        values.append(result.valid.means[config.choose_by])
        epochs.append(len(result.history))
        seconds.append(result.seconds["fit"])
    return {
        "settings": dict(o.split("=", 1) for o in overrides),
        "valid": round(float(np.mean(values)), 4),
        "std": round(float(np.std(values)), 4),
        "epochs": epochs,
        "seconds": round(float(np.mean(seconds)), 1),
    }


def main() -> None:
    """Read the grid from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config")
    parser.add_argument("grid", nargs="*", help="key=value,value,...")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    axes = []
    for axis in options.grid:
        key, _, values = axis.partition("=")
        parsed = yaml.safe_load(f"[{values}]")
        axes.append([f"{key}={json.dumps(value)}" for value in parsed])
    jobs = [(options.config, combination, options.seeds) for combination in itertools.product(*axes)]
    found = []
    with ProcessPoolExecutor(options.processes) as pool:
        for result in pool.map(measure, jobs):
            found.append(result)
            print(json.dumps(result), flush=True)
    print(json.dumps({"best": max(found, key=lambda r: r["valid"])}))


if __name__ == "__main__":
    main()
