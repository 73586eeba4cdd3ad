"""What recommending costs: one user, all users into a file, loading and importing; prints JSON.

    python benchmarks/serving.py --data /path/to/gowalla --out benchmarks/results/serving-cpu.json

Trains the shipped config, or takes a run (``--run``). It measures ``import gnnseg`` and loading the run
after imports, in processes of their own; top 10 of single users; and all users to parquet, beside the bare
blocked product and top-k of tables of the same sizes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared import dataset_config, output

from gnnseg.config import load_config
from gnnseg.environment import describe
from gnnseg.lists import write_lists
from gnnseg.pipeline import run as train
from gnnseg.ranking import BLOCK_SCORES
from gnnseg.recommend import Recommender
from gnnseg.scoring import item_vectors

K = 10
TARGETS = {"p50_ms": 10.0, "p99_ms": 30.0, "ratio_to_bare": 1.5, "load_s": 1.0, "import_s": 0.3}


def single(recommender: Recommender, users: list[str]) -> dict[str, float]:
    """Milliseconds of one user's list, the first calls left out."""
    for user in users[:20]:
        recommender.recommend([user], K)
    seconds = []
    for user in users:
        started = time.perf_counter()
        recommender.recommend([user], K)
        seconds.append(time.perf_counter() - started)
    p50, p99 = np.percentile(np.array(seconds) * 1e3, [50, 99])
    return {"p50_ms": float(p50), "p99_ms": float(p99), "users": len(users)}


def everybody(recommender: Recommender, repeats: int) -> dict[str, float]:
    """Seconds of all lists to parquet, and of the bare product and top-k; the best of repeats, in turn."""
    ours, bare, size = [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            started = time.perf_counter()
            write_lists(recommender, path := Path(folder) / "all.parquet", K)
            ours.append(time.perf_counter() - started)
            size = path.stat().st_size
            bare.append(bare_product(recommender))
    return {
        "seconds": min(ours),
        "bare_seconds": min(bare),
        "ratio_to_bare": min(ours) / min(bare),
        "bytes": size,
        "users": len(recommender.run.users),
    }


@torch.inference_mode()
def bare_product(recommender: Recommender) -> float:
    """Seconds of nothing but products of two tables in blocks, and top-k."""
    items = item_vectors(recommender.run.scorer)
    if items is None:
        raise SystemExit("the run has no vectors; take one of an encoder or GF-CF")
    users = torch.randn(len(recommender.run.users), items.shape[1])
    started = time.perf_counter()
    for some in users.split(max(1, BLOCK_SCORES // len(items))):
        torch.topk(some @ items.T, K)
    return time.perf_counter() - started


def in_process(code: str, *arguments: str) -> float:
    """What a program prints, the smallest of five runs."""
    command = [sys.executable, "-c", code, *arguments]
    return min(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(5))


IMPORT = "import time; t = time.perf_counter(); import gnnseg; print(time.perf_counter() - t)"
LOAD = (
    "import sys, time; from gnnseg.recommend import Recommender; t = time.perf_counter();"
    "Recommender.load(sys.argv[1]); print(time.perf_counter() - t)"
)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", default="gowalla/gf-cf")
    parser.add_argument("--data", type=Path, help="folder of the dataset's files")
    parser.add_argument("--run", type=Path, help="a finished run instead of training")
    parser.add_argument("--users", type=int, default=1000, help="single users")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serving-cpu.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        run = arguments.run or Path(folder) / "run"
        if arguments.run is None:
            config = load_config(arguments.config, device="cpu")
            data = dataset_config(config.dataset.name, arguments.data)
            train(config.model_copy(update={"dataset": data}), out=run)
        recommender = Recommender.load(run)
        rows = np.linspace(0, len(recommender.run.users) - 1, arguments.users).astype(int).tolist()
        found: dict[str, Any] = {
            "config": recommender.run.config.name,
            "single": single(recommender, recommender.run.users.names(rows)),
            "everybody": everybody(recommender, arguments.repeats),
            "import_s": in_process(IMPORT),
            "load_s": in_process(LOAD, str(run)),
        }
    about = {**describe(torch.device("cpu")), "threads": arguments.threads}
    result = {"command": "serving", "targets": TARGETS, **found, "environment": about}
    output(result, arguments.out)


if __name__ == "__main__":
    main()
