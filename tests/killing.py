"""Trains in children that are killed, and says what they left: ``python -m tests.killing FOLDER N TIMES``.

A child is killed at every ``N``-th call that changes the disk, and ``TIMES`` children after a random time.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnseg.checkpoint import load_run
from gnnseg.config import Config, load_config
from gnnseg.pipeline import Run, run
from gnnseg.prepared import Prepared, prepare
from gnnseg.run_folder import RESUME_FILE, partial_folder
from tests.faults import Faults
from tests.runs import PLAIN, SCHEDULE, on_data, outcome, scores


def config() -> Config:
    return load_config(on_data(PLAIN, train={**SCHEDULE, "epochs": 4, "evaluate_every": 1}))


class Killed:
    """One world of data, one run that nobody stops, and children that are stopped.

    Attributes:
        left: How often there was nothing to go on from, a state to resume, or the finished run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, config()
        self.data: Prepared = prepare(self.config.dataset, torch.device("cpu"))
        self.whole: Run = run(self.config, prepared=self.data)
        self.left = {"nothing": 0, "resumed": 0, "finished": 0}

    def child(self, out: Path, die: Faults | None) -> int:
        """Train into ``out`` in a child, and give its process id."""
        number = os.fork()
        if number:
            return number
        with pytest.MonkeyPatch.context() as patch:
            if die is not None:
                die.install(patch)
            self.train(out, resume=False)
            os._exit(0)

    def train(self, out: Path, resume: bool) -> Run:
        return run(self.config, out=out, resume=out if resume else None, prepared=self.data)

    def check(self, out: Path) -> None:
        """Open what a child left as it is, or go on; either way it must be the run that nobody stopped."""
        partial = partial_folder(out)
        if out.exists():
            self.left["finished"] += 1
        else:
            resumable = (partial / RESUME_FILE).exists()
            self.left["resumed" if resumable else "nothing"] += 1
            result = self.train(out, resumable)
            assert outcome(result) == outcome(self.whole), out
        rows = torch.arange(len(load_run(out).users))
        assert torch.equal(load_run(out).scorer.score(rows), scores(self.whole)), out
        assert not partial.exists(), out


def at_calls(killed: Killed, every: int) -> int:
    """Kill a child at every ``every``-th call; how many calls a run has."""
    ended, at = False, 1
    while not ended:
        out = killed.folder / f"call{at}"
        number = killed.child(out, Faults(killed.folder, at, lambda: os.kill(os.getpid(), signal.SIGKILL)))
        ended = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]) == 0
        if not ended:
            killed.check(out)
            at += every
    return at - every


def at_times(killed: Killed, count: int) -> None:
    """Kill ``count`` children at random times within what a run takes."""
    started = time.perf_counter()
    killed.train(killed.folder / "timed", resume=False)
    length, rng = time.perf_counter() - started, np.random.default_rng(0)
    for place in range(count):
        out = killed.folder / f"time{place}"
        number = killed.child(out, None)
        time.sleep(float(rng.uniform(0, 1.2)) * length)
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        killed.check(out)


def main() -> None:
    torch.set_num_threads(1)
    killed = Killed(Path(sys.argv[1]))
    calls = at_calls(killed, int(sys.argv[2]))
    at_times(killed, int(sys.argv[3]))
    sys.stdout.write(json.dumps({"calls": calls, "killed": sum(killed.left.values()), **killed.left}))


if __name__ == "__main__":
    main()
