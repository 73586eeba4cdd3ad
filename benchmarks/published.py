"""Baselines at their authors' settings on Gowalla, against the figures their papers report; prints JSON.

    python benchmarks/published.py --gowalla FOLDER --out benchmarks/results/gowalla/published.json

``FOLDER`` holds ``train.txt.gz`` and ``test.txt.gz`` in the split of the NGCF and LightGCN papers. The models
are the shipped configs of Gowalla with a ``reference``. Nothing is chosen here: all of train is learned from,
and test is read once for each.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from shared import dataset_config, fit_ours, output

from gnnseg.config import load_config, shipped_configs
from gnnseg.environment import describe
from gnnseg.evaluation import evaluate


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gowalla", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    carved, whole = (dataset_config("gowalla", options.gowalla, whole=w) for w in (False, True))
    models = []
    for name in (name for name in shipped_configs() if name.startswith("gowalla/")):
        config = load_config(name)
        if config.reference is None:
            continue
        fitted = fit_ours(config.name, carved, whole, 0, "cpu")
        started = time.perf_counter()
        found = evaluate(fitted.scorer, fitted.data.parts.test, fitted.data.seen, whole.metrics)
        models.append(
            {
                "name": config.name,
                "settings": fitted.settings["baseline"],
                "source": config.reference.source,
                "published": config.reference.metrics,
                "metrics": found.intervals(),
                "seconds": {"fit": fitted.seconds, "evaluate": time.perf_counter() - started},
            }
        )
    cpu = torch.device("cpu")
    output({"dataset": "gowalla", "models": models, "environment": describe(cpu)}, options.out)


if __name__ == "__main__":
    main()
