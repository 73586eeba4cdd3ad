from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from gnnseg.checkpoint import load_run
from gnnseg.config import load_config
from gnnseg.errors import CheckpointError, GnnsegError
from gnnseg.pipeline import Run, fit, run
from gnnseg.run_folder import RESUME_FILE, partial_folder, unfinished
from gnnseg.signals import Terminated, exit_code, stopping_gently, terminable
from gnnseg.tracking import Tracker
from tests.faults import Faults
from tests.killing import config as killed_config
from tests.runs import RESTLESS, assert_same, contents, on_data, saved_run, scores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, locks and /proc as Linux has them")


def killed(folder: Path, every: int, times: int) -> dict[str, int]:
    """What ``tests.killing`` found, in a process of its own, as only few threads can be forked."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.killing", str(folder), str(every), str(times)],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, int] = json.loads(done.stdout)
    return found


@functools.cache
def small() -> Run:
    return run(killed_config())


@functools.cache
def whole() -> Run:
    return fit(RESTLESS)


class TestSigkill:
    def test_at_some_calls_and_times(self, tmp_path: Path) -> None:
        found = killed(tmp_path, 61, 3)
        assert found["calls"] > 100
        assert found["nothing"] > 0
        assert found["resumed"] > 0
        assert found["killed"] == found["nothing"] + found["resumed"] + found["finished"] > 5

    @pytest.mark.slow
    def test_at_every_call_and_a_hundred_times(self, tmp_path: Path) -> None:
        found = killed(tmp_path, 1, 100)
        assert found["killed"] == found["calls"] + 100
        assert min(found["nothing"], found["resumed"], found["finished"]) > 1


class TestFaults:
    """A disk that fails once: one clear line, and what was there before is there, or can be made again."""

    def attempt(self, out: Path, at: int, code: int, patch: pytest.MonkeyPatch) -> Faults:
        def fail() -> None:
            raise OSError(code, os.strerror(code))

        faults = Faults(out.parent, at, fail)
        with patch.context() as inner:
            faults.install(inner)
            try:
                run(killed_config(), out=out, prepared=small().data)
            except GnnsegError as error:
                message = str(error)
                assert os.strerror(code) in message, message
                assert str(out.parent) in message
                assert "\n" not in message
        return faults

    @pytest.mark.parametrize(
        "code",
        [
            errno.ENOSPC,
            pytest.param(errno.EIO, marks=pytest.mark.slow),
            pytest.param(errno.EACCES, marks=pytest.mark.slow),
        ],
        ids=errno.errorcode.get,
    )
    def test_at_some_calls(self, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = len(self.attempt(tmp_path / "counted", 0, code, monkeypatch).calls)
        assert calls > 100
        places = [*range(1 + code % 7, calls, 23), *range(calls - 2 - code % 7, calls + 1)]
        for at in places:
            out = tmp_path / f"run{at}"
            self.attempt(out, at, code, monkeypatch)
            if not out.exists():
                resumable = (partial_folder(out) / RESUME_FILE).exists()
                result = run(
                    killed_config(), out=out, resume=out if resumable else None, prepared=small().data
                )
                assert torch.equal(scores(result), scores(small())), at
            rows = torch.arange(len(load_run(out).users))
            assert torch.equal(load_run(out).scorer.score(rows), scores(small())), at
            assert not partial_folder(out).exists(), at


class Send(Tracker):
    """Sends this process a signal when an epoch is reported."""

    def __init__(self, stage: int, epoch: int, number: int) -> None:
        self.at, self.number = (stage, epoch), number
        self.seen: list[tuple[int, int]] = []

    def log(self, record: Mapping[str, Any]) -> None:
        self.seen.append((record["stage"], record["epoch"]))
        if self.seen[-1] == self.at:
            os.kill(os.getpid(), self.number)


class TestStopped:
    @pytest.mark.parametrize("at", [*((1, n) for n in range(1, 9)), *((2, n) for n in range(1, 6))])
    def test_after_every_epoch(self, at: tuple[int, int], tmp_path: Path) -> None:
        """``k`` steps and a resume are ``N`` steps, bit for bit, whether validation looked there or not."""
        out, config, number = tmp_path / "run", load_config(RESTLESS), signal.SIGTERM
        with pytest.raises(Terminated), terminable():
            run(config, out=out, tracker=Send(*at, number))
        rest = Send(0, 0, number)
        assert_same(run(config, resume=out, tracker=rest), whole())
        epochs = [*((1, n) for n in range(1, 9)), *((2, n) for n in range(1, 6))]
        assert rest.seen == epochs[epochs.index(at) + 1 :]

    def test_ctrl_c(self, tmp_path: Path) -> None:
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt) as caught:
            run(load_config(RESTLESS), out=tmp_path / "run", tracker=Send(1, 3, signal.SIGINT))
        assert exit_code(caught.value) == 130
        assert signal.getsignal(signal.SIGINT) is before
        assert_same(run(load_config(RESTLESS), resume=tmp_path / "run"), whole())

    def test_a_run_in_memory_stops_at_once(self) -> None:
        told = Send(1, 3, signal.SIGINT)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a job of a shell
        try:
            with pytest.raises(KeyboardInterrupt):
                run(load_config(RESTLESS), tracker=told)
        finally:
            signal.signal(signal.SIGINT, before)
        assert told.seen[-1] == (1, 3)

    def test_the_second_stops_at_once(self) -> None:
        with stopping_gently(True) as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked == signal.SIGTERM
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(Terminated) as caught:
                stop.obey()
        assert exit_code(caught.value) == 143


class TestLock:
    def test_second_training_is_refused(self, tmp_path: Path) -> None:
        with unfinished(tmp_path / "run") as partial:
            (partial / "mine").write_text("1")
            before = contents(tmp_path)
            for resume in (None, tmp_path / "run"):
                with pytest.raises(CheckpointError) as caught:
                    run(killed_config(), out=tmp_path / "run", resume=resume)
                assert str(caught.value) == (
                    f"another process writes '{tmp_path / 'run'}'; wait for it or choose another --out"
                )
            assert contents(tmp_path) == before
        assert contents(tmp_path) == {"run/mine": b"1"}

    def test_dies_with_its_owner(self, tmp_path: Path) -> None:
        code = (
            "import sys, time, pathlib\n"
            "from gnnseg.run_folder import unfinished\n"
            "with unfinished(pathlib.Path(sys.argv[1])):\n"
            "    print('held', flush=True)\n"
            "    time.sleep(60)\n"
        )
        owner = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "run")],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )
        try:
            assert owner.stdout is not None
            with owner.stdout:
                assert owner.stdout.readline() == b"held\n"
            with pytest.raises(CheckpointError, match="another process writes"), unfinished(tmp_path / "run"):
                pass
        finally:
            owner.kill()
            owner.wait()
        with unfinished(tmp_path / "run") as partial:
            (partial / "mine").write_text("1")
        assert contents(tmp_path) == {"run/mine": b"1"}


@pytest.mark.slow
def test_soak(tmp_path: Path) -> None:
    """Trainings one after another leave no file, thread or memory behind."""
    import threading

    def resident() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def train(number: int) -> None:
        fit(on_data(RESTLESS, seed=number % 3), out=tmp_path / f"run{number}")

    for number in range(15):
        train(number)
    before, files, threads = resident(), descriptors(), threading.active_count()
    for number in range(15, 65):
        train(number)
    assert descriptors() == files
    assert threading.active_count() == threads
    assert resident() < 1.05 * before
    with contextlib.suppress(OSError):
        assert not list(tmp_path.glob(".*"))
    assert load_run(saved_run())
