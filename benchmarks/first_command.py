"""Seconds and memory of ``gnnseg benchmark --dataset movielens`` as a process of its own; prints JSON.

    python benchmarks/first_command.py --out first.json --keep results.json

Runs the command with ``--quick`` and in full, each with an empty cache, so that text is included; ``--keep``
keeps the results of the full one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from gnnseg.environment import describe


def measure(arguments: list[str], keep: Path | None = None) -> dict[str, float]:
    """Wall seconds and peak resident memory of one call."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "gnnseg",
            "benchmark",
            "--dataset",
            "movielens",
            "--quiet",
            *arguments,
        ]
        environment = {**os.environ, "GNNSEG_HOME": str(Path(folder) / "home")}
        started = time.perf_counter()
        subprocess.run([*command, "--out", str(Path(folder) / "out")], check=True, env=environment)
        seconds = time.perf_counter() - started
        if keep is not None:
            keep.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(folder) / "out" / "results.json", keep)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"seconds": round(seconds, 1), "peak_memory_mb_so_far": round(peak, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    results = {
        "quick": measure(["--quick"]),
        "full": measure([], options.keep),
        "environment": describe(torch.device("cpu")),
    }
    text = json.dumps(results, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
