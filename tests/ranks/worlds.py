"""Several processes for a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gnnseg.checkpoint import load_tensors
from gnnseg.files import write_json


class World:
    """``size`` processes that do the same jobs, and what came of them.

    They meet through a file, so that no port can be taken, and nothing depends on how fast they are.

    Args:
        folder: Empty.
        size: How many.
        jobs: What :mod:`tests.ranks.worker` does, in order.
        dies: Whether some are expected not to end well.
    """

    def __init__(self, folder: Path, size: int, jobs: Sequence[dict[str, Any]], dies: bool = False) -> None:
        self.folder, self.size = folder, size
        write_json(folder / "jobs.json", list(jobs))
        root = str(Path(__file__).parents[2])
        own = {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, "-m", "tests.ranks.worker", str(folder)]
        processes = [
            subprocess.Popen(
                [*command, str(rank), str(size)], env={**os.environ, **own}, stderr=subprocess.PIPE, text=True
            )
            for rank in range(size)
        ]
        ends = [process.communicate(timeout=170)[1] for process in processes]
        self.codes = [process.returncode for process in processes]
        assert dies or not any(self.codes), "\n".join(ends)

    def tensors(self, job: str, rank: int = 0) -> dict[str, torch.Tensor]:
        return load_tensors(self.folder / f"{job}.{rank}.safetensors")

    def moved(self, job: str, rank: int = 0) -> dict[str, float]:
        return dict(json.loads((self.folder / f"{job}.{rank}.moved.json").read_text(encoding="utf-8")))

    def history(self, job: str) -> list[dict[str, Any]]:
        return list(json.loads((self.folder / f"{job}.json").read_text(encoding="utf-8")))

    def error(self, job: str, rank: int) -> str:
        return (self.folder / f"{job}.{rank}.error").read_text(encoding="utf-8")
