from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.invoking import failure, invoke, misuse, output, printed
from tests.runs import FULL, contents, write_data, write_yaml

PLOTS = {f"{name}.{kind}" for name in ("accuracy", "cost", "differences") for kind in ("png", "svg")}
FILES = {"report.html", "results.json", "results.md", "results.csv", *PLOTS}
QUICK = ("ablate", "full.yaml", "--seeds", "1", "--device", "cpu", "--only", "random segments, FiLM")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a small dataset, a system of two views and LoRA, and one without segments."""
    write_data(tmp_path)
    content = {**FULL, "text": None, "head": "LoRA", "dataset": "small.yaml"}
    write_yaml(tmp_path / "full.yaml", content)
    write_yaml(tmp_path / "plain.yaml", {"dataset": "small.yaml", "encoder": "MatrixFactorization"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_json(here: Path) -> None:
    found = printed(*QUICK, "--out", "out")
    assert json.loads((here / "out" / "results.json").read_text()) == found
    assert [m["name"] for m in found["models"]] == ["global", "random segments", "FiLM", "full"]
    assert [m["role"] for m in found["models"]] == ["global", "control", "part", "full"]
    assert {(c["model"], c["baseline"]) for c in found["comparisons"]} == {
        ("full", m["name"]) for m in found["models"][:-1]
    }
    assert {path.name for path in (here / "out").iterdir()} == FILES
    assert "## What segments bring" in (here / "out" / "results.md").read_text()


def test_table(here: Path) -> None:
    result = invoke(*QUICK, "-s", "fine_tune.epochs=1", "--seed", "3")
    assert result.exit_code == 0
    for text in ("small: test, 1 seed(s)", "full against global, by users", "Segments ", "6 and more"):
        assert text in result.stdout
    folder = here / "ablations-out" / "small-full"
    assert f"Written to {folder.relative_to(here)}" in result.stdout
    assert result.stdout.endswith("Next: gnnseg train full.yaml\n")
    assert result.stderr.count("small: 60 users, 80 items, ") == 1
    [run] = json.loads((folder / "results.json").read_text())["models"][0]["runs"]
    assert run["seed"] == 3


def test_quiet(here: Path) -> None:
    result = invoke(*QUICK, "--quiet", "--out", "out")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_help_lists_it() -> None:
    assert "ablate" in output("--help")
    assert misuse("ablate", "full.yaml", "--seeds", "0")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["plain.yaml"], "'plain' has no segments to ablate; give it a segmenter and a head or local model"),
        (
            ["full.yaml", "--only", "nothing"],
            "'nothing' is no row of this ablation; known: global, more steps,",
        ),
        (["absent.yaml"], "there is no config 'absent.yaml'"),
    ],
)
def test_bad(here: Path, arguments: list[str], problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnseg.ablation.prepare", None)  # found out before any data are read
    before = contents(here)
    assert problem in failure("ablate", *arguments, "--out", "out")
    assert contents(here) == before


def test_a_folder_that_exists(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnseg.ablation.prepare", None)
    (here / "out").mkdir()
    (here / "out" / "mine").touch()
    assert failure(*QUICK, "--out", "out") == "'out' exists already; choose another --out or remove it"
