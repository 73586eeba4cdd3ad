"""Seconds and memory of ``gnnseg benchmark --dataset movielens`` as a process of its own; prints JSON.

    python benchmarks/first_command.py --out benchmarks/results/first-command.json

Runs the command with ``--quick`` and in full, each with an empty cache, so that text is included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from gnnseg.environment import describe


def measure(arguments: list[str]) -> dict[str, float]:
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
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"seconds": round(seconds, 1), "peak_memory_mb_so_far": round(peak, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    results = {
        "quick": measure(["--quick"]),
        "full": measure([]),
        "environment": describe(torch.device("cpu")),
    }
    text = json.dumps(results, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
