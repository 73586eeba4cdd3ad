"""``gnnseg train`` as one of several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gnnseg.run_folder import RESUME_FILE, partial_folder
from tests.cli.invoking import misuse, output
from tests.runs import PLAIN, lines_of, on_data, write_yaml

LONG = {**PLAIN, "train": {**PLAIN["train"], "epochs": 80, "evaluate_every": 1, "patience": 80}}


def as_rank(monkeypatch: pytest.MonkeyPatch, rank: int) -> list[Any]:
    """What :func:`follow` is called with from now on."""
    ranks, followed = SimpleNamespace(rank=rank, size=2), []
    monkeypatch.setattr("gnnseg.ranks.connect", lambda: ranks)
    monkeypatch.setattr("gnnseg.distributed.follow", followed.append)
    return followed


def test_others_than_the_first_read_and_write_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    followed = as_rank(monkeypatch, 1)
    monkeypatch.chdir(tmp_path)
    assert output("train", "no-such-config", "--out", "run") == ""
    assert [ranks.rank for ranks in followed] == [1]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rank", [0, 1])
def test_a_search_runs_in_one_process(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    followed = as_rank(monkeypatch, rank)
    assert "--search runs in one process" in misuse("train", "--search", 2)
    assert not followed


def started(*arguments: str) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*launcher, "-m", "gnnseg", "train", *arguments, "--quiet"]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


def process_of(launcher: int, rank: int) -> int:
    """The process that a launcher started as a rank."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            told = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == launcher and f"RANK={rank}".encode() in told:
            return int(folder.name)
    raise AssertionError(f"no process of rank {rank}")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("rank", [0, 1])
def test_torchrun_killed_and_resumed(rank: int, tmp_path: Path) -> None:
    config, out = write_yaml(tmp_path / "long.yaml", on_data(LONG, name="long")), tmp_path / "run"
    run = started(str(config), "--out", str(out))
    while not (partial_folder(out) / RESUME_FILE).is_file():
        assert run.poll() is None
        time.sleep(0.1)
    os.kill(process_of(run.pid, rank), signal.SIGKILL)
    said = run.communicate(timeout=100)[1]
    assert run.returncode == 1
    assert "SIGKILL" in said
    assert not out.exists()
    run = started("--resume", str(out))
    said = run.communicate(timeout=170)[1]
    assert run.returncode == 0, said
    epochs = [record["epoch"] for record in lines_of(out / "history.jsonl")]
    assert epochs == list(range(1, 81))


@pytest.mark.slow
def test_torchrun_tells_an_error_of_the_first(tmp_path: Path) -> None:
    config = write_yaml(tmp_path / "base.yaml", on_data({"baseline": "EASE"}, name="base"))
    run = started(str(config), "--out", str(tmp_path / "run"))
    said = run.communicate(timeout=100)[1]
    assert run.returncode == 1
    assert "Error: a baseline is fitted in one process; start it without torchrun" in said
    assert not (tmp_path / "run").exists()
