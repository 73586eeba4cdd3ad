from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import gnnseg
from gnnseg.checkpoint import load_run
from gnnseg.run_folder import partial_folder
from gnnseg.tracking import TRACKERS
from tests.cli.invoking import failure, invoke, misuse, output, printed
from tests.runs import (
    USERS,
    Interrupt,
    contents,
    fill_disk,
    saved_run,
    scores,
    trained,
    write_yaml,
)
from tests.tracking.reading import curves

LACKS_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")


def test_json(here: Path) -> None:
    found = printed("train", "full.yaml", "--device", "cpu", "--out", "out")
    expected = trained().metrics
    assert found["run"] == "out"
    assert found["test"] == expected["test"]
    assert found["valid"] == expected["valid"]
    assert {k: v for k, v in found.items() if k != "run"} == json.loads(
        (here / "out" / "metrics.json").read_text()
    )
    assert torch.equal(load_run("out").scorer.score(torch.arange(USERS)), scores(trained()))


def test_table(here: Path) -> None:
    result = invoke("train", "full.yaml", "--out", "out")
    assert result.exit_code == 0
    assert "full: test" in result.stdout
    assert f"{trained().metrics['test']['ndcg@10']:.4f}" in result.stdout
    assert "served: the" in result.stdout
    assert "Saved in out" in result.stdout
    [following] = [line for line in result.stdout.splitlines() if line.startswith("Next: gnnseg ")]
    assert output(*following.removeprefix("Next: gnnseg ").split())


def test_table_without_validation(here: Path) -> None:
    assert "Saved in out" in output("train", "full.yaml", "--out", "out", "-s", "dataset.split.valid=0")


def test_quiet(here: Path) -> None:
    result = invoke("train", "popular.yaml", "--out", "out", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert (here / "out" / "metrics.json").is_file()


def test_progress_goes_to_standard_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnseg.cli.progress.SECONDS_BETWEEN_LINES", 0.0)
    result = invoke("train", "full.yaml", "--out", "out", "--json")
    assert json.loads(result.stdout)["run"] == "out"
    lines = result.stderr.splitlines()
    assert "training: 3/6, 0 s left" in result.stderr
    assert "fine-tuning: 1/6" in result.stderr
    assert not any("\x1b" in line or "\r" in line for line in lines)


def test_named_after_the_config(here: Path) -> None:
    for name in ("popular", "popular-2", "popular-3"):
        assert printed("train", "popular.yaml")["run"] == f"runs/{name}"
    assert {path.name for path in (here / "runs").iterdir()} == {"popular", "popular-2", "popular-3"}


def test_a_saved_config_repeats_the_run(here: Path) -> None:
    found = printed("train", saved_run() / "config.yaml", "--out", "again")
    assert found["test"] == trained().metrics["test"]
    assert contents(here / "again")["model.safetensors"] == contents(saved_run())["model.safetensors"]


def test_overrides_and_seed(here: Path) -> None:
    output(
        "train", "plain.yaml", "--out", "out", "-s", "encoder.dim=4", "--set", "train.epochs=1", "--seed", "3"
    )
    config = load_run("out").config
    assert config.encoder is not None
    assert (config.encoder["dim"], config.train.epochs, config.seed) == (4, 1, 3)
    assert load_run("out").config.name == "plain"


class TestTrack:
    def test_tensorboard(self, here: Path) -> None:
        pytest.importorskip("tensorboard", reason="tensorboard comes with gnnseg[tracking]")
        output("train", "full.yaml", "--out", "out", *["--track", "tensorboard"] * 2)
        found = curves(here / "out")
        history = [json.loads(line) for line in (here / "out" / "history.jsonl").read_text().splitlines()]
        expected = [(step, record) for step, record in enumerate(history, 1)]
        for stage in (1, 2):
            assert found[f"stage{stage}/loss"] == [
                (step, pytest.approx(record["loss"])) for step, record in expected if record["stage"] == stage
            ]
        [(step, value)] = found["test/ndcg@10"]
        assert (step, value) == (len(history), pytest.approx(trained().metrics["test"]["ndcg@10"]))
        assert not partial_folder(here / "out").exists()

    def test_of_a_baseline(self, here: Path) -> None:
        pytest.importorskip("tensorboard", reason="tensorboard comes with gnnseg[tracking]")
        output("train", "popular.yaml", "--out", "out", "--track", "tensorboard")
        assert [step for step, _ in curves(here / "out")["test/ndcg@10"]] == [0]

    def test_resumed(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("tensorboard", reason="tensorboard comes with gnnseg[tracking]")
        with monkeypatch.context() as patch:
            patch.setattr("gnnseg.cli.progress.tracker", lambda quiet: Interrupt(2, 4))
            result = invoke("train", "full.yaml", "--out", "out", "--track", "tensorboard")
        hint = "go on with: gnnseg train --resume out --track tensorboard"
        assert result.stderr == f"Interrupted: 'out' was not written; {hint}\n"
        output("train", "--resume", "out", "--track", "tensorboard")
        found = curves(here / "out")
        length = len((here / "out" / "history.jsonl").read_text().splitlines())
        steps = [step for name in ("stage1/loss", "stage2/loss") for step, _ in found[name]]
        assert steps == list(range(1, length + 1))

    def test_full_disk(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("tensorboard", reason="tensorboard comes with gnnseg[tracking]")
        before = contents(here)
        with monkeypatch.context() as patch:
            fill_disk(patch, "tfevents")
            message = failure("train", "plain.yaml", "--out", "out", "--track", "tensorboard")
        assert message == "cannot write '.out.partial/tensorboard': No space left on device"
        assert contents(here) == before

    @pytest.mark.parametrize("name", ["tensorboard", "wandb"])
    def test_missing_package(self, here: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in [m for m in sys.modules if m.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
        before = contents(here)
        message = failure("train", "plain.yaml", "--out", "out", "--track", name)
        assert message.endswith('; pip install "gnnseg[tracking]"')
        assert contents(here) == before

    def test_unknown(self, here: Path) -> None:
        message = misuse("train", "plain.yaml", "--track", "tensorbord")
        for name in ("tensorbord", *TRACKERS):
            assert f"'{name}'" in message


class TestDevice:
    def test_of_the_config_unless_given(self, here: Path) -> None:
        write_yaml(
            here / "odd.yaml", {**yaml.safe_load((here / "popular.yaml").read_text()), "device": "cpu"}
        )
        output("train", "odd.yaml", "--out", "a")
        assert load_run("a").config.device == "cpu"
        output("train", "popular.yaml", "--out", "b")
        assert load_run("b").config.device == "auto"
        output("train", "popular.yaml", "--out", "c", "-s", "device=cpu")
        assert load_run("c").config.device == "cpu"
        output("train", "popular.yaml", "--out", "d", "-s", "device=tpu", "--device", "cpu")
        assert load_run("d").config.device == "cpu"

    @LACKS_CUDA
    @pytest.mark.parametrize("name", ["cuda", "cuda:1"])
    @pytest.mark.parametrize("option", ["--device={}", "-sdevice={}"])
    def test_cuda_where_there_is_none(self, here: Path, name: str, option: str) -> None:
        before = contents(here)
        message = failure("train", "plain.yaml", "--out", "out", option.format(name))
        assert message == (
            f"device '{name}' was asked for, but this machine has 0 of its kind; use --device auto"
        )
        assert contents(here) == before

    def test_no_such_device(self, here: Path) -> None:
        message = failure("train", "plain.yaml", "--out", "out", "--device", "gpu")
        assert message == "'device' must be auto, cpu, cuda, cuda:N or mps (got 'gpu')"


class TestUnknown:
    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (
                ["movielens/lightgnc"],
                "unknown config 'movielens/lightgnc'; did you mean 'movielens/lightgcn'?",
            ),
            (["absent.yaml"], "there is no config 'absent.yaml'"),
            (
                ["plain.yaml", "-s", "dataset=movielens-1n"],
                "unknown dataset 'movielens-1n'; did you mean 'movielens-1m'?",
            ),
            (
                ["plain.yaml", "-s", "encoder=LightGNC"],
                "unknown encoder 'LightGNC'; did you mean 'LightGCN'?",
            ),
            (["plain.yaml", "-s", "encoder.dmi=3"], "unknown key 'dmi'; did you mean 'dim'?"),
            (["plain.yaml", "-s", "trian.epochs=3"], "unknown key 'trian'; did you mean 'train'?"),
            (["plain.yaml", "-s", "train.epoch=3"], "unknown key in 'train' 'epoch'; did you mean 'epochs'?"),
            (["plain.yaml", "-s", "dataset.filters.min_ratting=3"], "did you mean 'min_rating'?"),
            (["plain.yaml", "-s", "encoder.dim"], "an override must look like key=value (got 'encoder.dim')"),
            (
                ["plain.yaml", "-s", "train.epochs=-1"],
                "'train.epochs' should be greater than or equal to 0 (got -1)",
            ),
            (
                ["plain.yaml", "-s", "encoder.dim=0"],
                "encoder LightGCN: 'dim' should be greater than 0 (got 0)",
            ),
            (["plain.yaml", "-s", "choose_by=ngcd@10"], "did you mean 'ndcg'?"),
            (["plain.yaml", "-s", "dataset.split=Temporal"], "'small' has no times; use split Random"),
            (
                ["full.yaml", "-s", f"segmenter.num_segments={USERS + 1}"],
                f"number of users {USERS} (got {USERS + 1})",
            ),
            (
                ["plain.yaml", "-s", "dataset.filters.min_user_items=50"],
                "the filters leave nothing of 'small'",
            ),
            (
                ["plain.yaml", "-s", "train.learning_rate=1.0e+30"],
                "'train.learning_rate' should be",
            ),
        ],
        ids=lambda value: value[-1] if isinstance(value, list) else "",
    )
    def test_one_line(self, here: Path, arguments: list[str], problem: str) -> None:
        before = contents(here)
        assert problem in failure("train", *arguments, "--out", "out", "--quiet")
        assert contents(here) == before
        assert not (here / "out").exists()


class TestFolder:
    def test_exists(self, here: Path) -> None:
        (here / "out").mkdir()
        (here / "out" / "mine").write_text("mine")
        before = contents(here)
        message = failure("train", "plain.yaml", "--out", "out")
        assert message == "'out' exists already; choose another --out or remove it"
        assert contents(here) == before

    def test_cannot_be_made(self, here: Path) -> None:
        before = contents(here)
        message = failure("train", "plain.yaml", "--out", "plain.yaml/out")
        assert message.startswith("cannot write 'plain.yaml/.out.partial': ")
        assert message.endswith("; choose another --out")
        assert contents(here) == before

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
    def test_read_only(self, here: Path) -> None:
        (here / "locked").mkdir(mode=0o500)
        assert "Permission denied" in failure("train", "plain.yaml", "--out", "locked/out")

    @pytest.mark.parametrize(
        "name", ["history.jsonl", "resume.safetensors", "model.safetensors", "metrics.json"]
    )
    def test_full_disk(self, here: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        fill_disk(monkeypatch, name)
        message = failure("train", "plain.yaml", "--out", "out", "--quiet")
        assert message == f"cannot write 'out/../{name}': No space left on device".replace(
            "out/..", ".out.partial"
        )
        assert not (here / "out").exists()


class TestInterrupted:
    def stop(self, monkeypatch: pytest.MonkeyPatch, stage: int, epoch: int, *arguments: str) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr("gnnseg.cli.progress.tracker", lambda quiet: Interrupt(stage, epoch))
            return invoke("train", *arguments)

    @pytest.mark.parametrize("at", [(1, 4), (2, 4)])
    def test_goes_on(self, here: Path, at: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
        result = self.stop(monkeypatch, *at, "full.yaml", "--out", "out", "--json")
        assert (result.exit_code, result.stdout) == (130, "")
        assert result.stderr == "Interrupted: 'out' was not written; go on with: gnnseg train --resume out\n"
        assert not (here / "out").exists()
        left = contents(here)
        assert "an interrupted run can go on: gnnseg train --resume out" in failure(
            "train", "full.yaml", "--out", "out"
        )
        assert contents(here) == left
        found = printed("train", "--resume", "out")
        assert found["test"] == trained().metrics["test"]
        assert contents(here / "out")["model.safetensors"] == contents(saved_run())["model.safetensors"]
        assert not partial_folder(here / "out").exists()

    def test_too_early_to_go_on(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = contents(here)
        result = self.stop(monkeypatch, 1, 1, "full.yaml", "--out", "out")
        assert (result.exit_code, result.stdout) == (130, "")
        assert result.stderr == "Interrupted: 'out' was not written\n"
        assert contents(here) == before

    def test_nothing_to_resume(self, here: Path) -> None:
        assert failure("train", "--resume", "out").startswith("there is no interrupted run 'out' to resume")

    def test_config_edited_meanwhile(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stop(monkeypatch, 1, 5, "plain.yaml", "--out", "out")
        saved = partial_folder(here / "out") / "config.yaml"
        saved.write_text(saved.read_text().replace("learning_rate: 0.02", "learning_rate: 0.5"))
        before = contents(here)
        message = failure("train", "--resume", "out")
        assert (
            "begun with another config: train.learning_rate 0.02 there, 0.5 here; train it again" in message
        )
        assert contents(here) == before

    @pytest.mark.parametrize("more", [["full.yaml"], ["--out", "other"], ["-s", "seed=1"], ["--seed", "1"]])
    def test_resume_takes_nothing_else(self, here: Path, more: list[str]) -> None:
        assert "give it alone" in misuse("train", "--resume", "out", *more)

    @pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
    @pytest.mark.parametrize(
        ("sent", "code"),
        [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
    )
    def test_for_real(self, here: Path, sent: signal.Signals, code: int) -> None:
        """A process, and the signal that a terminal or a batch system sends."""
        paths = [str(Path(gnnseg.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
        options = ["--out", "out", "--json", "-s", "train.epochs=1000000", "-s", "train.patience=1000000"]
        process = subprocess.Popen(
            [sys.executable, "-m", "gnnseg", "train", "plain.yaml", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=here,
            env=env,
        )
        try:
            deadline = time.monotonic() + 60
            while not (here / ".out.partial" / "resume.safetensors").exists() and time.monotonic() < deadline:
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(sent)
            stdout, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
        assert (process.returncode, stdout) == (code, "")
        *before, stopping, last = stderr.splitlines()
        assert stopping == "WARNING: stopping after this epoch; once more stops at once"
        assert last == "Interrupted: 'out' was not written; go on with: gnnseg train --resume out"
        assert [line.partition(":")[0] for line in before] == ["small"]  # what the dataset holds
        assert not (here / "out").exists()
