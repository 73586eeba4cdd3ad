from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.cli.invoking import failure, invoke, printed
from tests.runs import FULL, Interrupt, contents, fill_disk, write_data, write_yaml

FILES = {
    "report.html",
    "results.json",
    "results.md",
    "results.csv",
    "accuracy.png",
    "accuracy.svg",
    "cost.png",
    "cost.svg",
}
TWO = ("benchmark", "--dataset", "small.yaml", "--models", "popular.yaml, full.yaml", "--seeds", "1")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with ``small.yaml`` and two models."""
    write_data(tmp_path)
    write_yaml(tmp_path / "popular.yaml", {"baseline": "Popularity"})
    write_yaml(tmp_path / "full.yaml", FULL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_json(here: Path) -> None:
    found = printed(*TWO, "--out", "out")
    assert json.loads((here / "out" / "results.json").read_text()) == found
    assert [model["name"] for model in found["models"]] == ["popular", "full"]
    assert {path.name for path in (here / "out").iterdir()} == FILES


def test_table(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnseg.cli.progress.SECONDS_BETWEEN_LINES", 0.0)
    result = invoke(*TWO, "--quick", "--device", "cpu")
    assert result.exit_code == 0
    assert "small: test, 1 seed(s)" in result.stdout
    assert "full against the others" in result.stdout
    assert " popular, the best of the others, on ndcg@10" in result.stdout
    assert "Written to benchmarks-out/small" in result.stdout
    assert {path.name for path in (here / "benchmarks-out" / "small").iterdir()} == FILES
    assert "benchmark: 1/2" in result.stderr
    assert "benchmark: 1/2" not in result.stdout


def test_quiet(here: Path) -> None:
    result = invoke(*TWO, "--quiet", "--out", "out")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_the_default_folder_is_a_new_one(here: Path) -> None:
    one = ("benchmark", "--dataset", "small.yaml", "--models", "popular.yaml", "--seeds", "1", "--quiet")
    for _ in range(2):
        assert invoke(*one).exit_code == 0
    assert {path.name for path in (here / "benchmarks-out").iterdir()} == {"small", "small-2"}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--dataset", "movielenz"], "unknown dataset 'movielenz'; did you mean 'movielens'?"),
        (
            ["--dataset", "small.yaml", "--models", "popular.yaml,eese"],
            "unknown model 'eese'; did you mean 'ease'?",
        ),
        (["--dataset", "small.yaml", "--models", "absent.yaml"], "there is no config 'absent.yaml'"),
        (["--dataset", "small.yaml", "--models", ","], "'models' must name at least one"),
        (
            ["--dataset", "small.yaml", "--models", "full.yaml,full.yaml"],
            "models must have different names (got full, full)",
        ),
        (
            ["--dataset", "small.yaml", "--device", "gpu"],
            "'device' must be auto, cpu, cuda, cuda:N or mps (got 'gpu')",
        ),
    ],
)
def test_bad(here: Path, arguments: list[str], problem: str) -> None:
    before = contents(here)
    assert problem in failure("benchmark", *arguments, "--out", "out")
    assert contents(here) == before
    assert not (here / "out").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none(here: Path) -> None:
    assert "this machine has 0 of its kind" in failure(*TWO, "--device", "cuda")


class TestFolder:
    """Found out before anything is trained."""

    @pytest.fixture(autouse=True)
    def no_training(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gnnseg.benchmark.run", None)

    def test_exists(self, here: Path) -> None:
        (here / "out").mkdir()
        (here / "out" / "mine").write_text("mine")
        before = contents(here)
        assert failure(*TWO, "--out", "out") == "'out' exists already; choose another --out or remove it"
        assert contents(here) == before

    def test_cannot_be_made(self, here: Path) -> None:
        before = contents(here)
        assert failure(*TWO, "--out", "full.yaml/out").startswith("cannot write 'full.yaml/")
        assert contents(here) == before


@pytest.mark.parametrize("name", ["results.json", "results.csv", "cost.svg"])
def test_full_disk(here: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fill_disk(patch, name)
        message = failure(*TWO, "--out", "out", "--quiet")
    assert message.startswith("cannot write '")
    assert message.endswith(f"{name}': No space left on device")
    assert not (here / "out").exists()


def test_interrupted(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(here)
    monkeypatch.setattr("gnnseg.cli.progress.tracker", lambda quiet: Interrupt(2, 3))
    result = invoke(*TWO, "--out", "out")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "Error: interrupted; nothing was written under a final name\n"
    assert contents(here) == before
