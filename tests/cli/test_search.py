from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.invoking import failure, invoke, misuse, output, printed
from tests.runs import (
    SEARCHED,
    InterruptTrial,
    contents,
    write_yaml,
)


class TestSearch:
    @pytest.fixture(autouse=True)
    def _config(self, here: Path) -> None:
        pytest.importorskip("optuna", reason="a search needs optuna, which is not installed")
        write_yaml(here / "mine.yaml", {"dataset": "small.yaml", **SEARCHED})

    def test_json(self, here: Path) -> None:
        found = printed("train", "mine.yaml", "--search", "3")
        kept = json.loads((here / found["run"] / "search.json").read_text())
        assert found["run"] == "runs/mine"
        assert found["search"] == kept["best"]
        assert len(kept["trials"]) == 3
        assert found["search"]["settings"].keys() == SEARCHED["search"].keys()
        assert found["test"] == json.loads((here / "runs/mine/metrics.json").read_text())["test"]

    def test_settings_as_yaml(self, here: Path) -> None:
        text = output("train", "mine.yaml", "--search", "2", "--out", "out")
        best = json.loads((here / "out" / "search.json").read_text())["best"]
        heading = f"# trial {best['trial']} of 2, validation ndcg@10 {best['value']:.4f}\n"
        settings = yaml.safe_load(text.partition(heading)[2])
        assert settings["train"]["learning_rate"] == best["settings"]["train.learning_rate"]
        assert settings["encoder"].keys() == {"num_layers", "dim"}

    def test_quiet(self, here: Path) -> None:
        result = invoke("train", "mine.yaml", "--search", "1", "--out", "out", "--quiet")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")

    def test_progress_and_no_test_figure_before_the_end(
        self, here: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gnnseg.cli.progress.SECONDS_BETWEEN_LINES", 0.0)
        result = invoke("train", "mine.yaml", "--search", "2", "--json")
        assert "search: 1/2, " in result.stderr
        assert re.search(r"search: 2/2, 0 s left  best 0\.\d{4}\n", result.stderr)
        assert "test" in json.loads(result.stdout)
        sizes, *lines = [line for line in result.stderr.splitlines() if "test" in line]
        assert sizes.startswith("small: 60 users, 80 items, ")
        assert lines == []

    def test_goes_on(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("gnnseg.cli.progress.tracker", lambda quiet: InterruptTrial(2))
            result = invoke("train", "mine.yaml", "--search", "3", "--json")
        assert (result.exit_code, result.stdout) == (130, "")
        assert result.stderr == (
            "Interrupted: 'runs/mine' was not written; the same command goes on with the search\n"
        )
        assert {path.name for path in (here / "runs").iterdir()} == {"mine.search"}
        stopped = printed("train", "mine.yaml", "--search", "3")
        (here / "again").mkdir()
        never = printed("train", "mine.yaml", "--search", "3", "--out", "again/out")
        assert {**stopped, "run": ""} == {**never, "run": ""}

    def test_more_trials_are_another_run(self, here: Path) -> None:
        printed("train", "mine.yaml", "--search", "1")
        assert printed("train", "mine.yaml", "--search", "2")["run"] == "runs/mine-2"
        assert len(json.loads((here / "runs/mine-2/search.json").read_text())["trials"]) == 2

    def test_stopped_in_the_last_run(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("gnnseg.cli.progress.tracker", lambda quiet: InterruptTrial(2))
            result = invoke("train", "mine.yaml", "--search", "1", "--out", "out")
        assert result.stderr.endswith("'out' was not written; go on with: gnnseg train --resume out\n")
        assert printed("train", "--resume", "out")["test"]
        assert (here / "out" / "search.json").is_file()

    def test_ignored_by_a_plain_run(self, here: Path) -> None:
        assert "search" not in printed("train", "mine.yaml", "--out", "out")
        assert not (here / "out" / "search.json").exists()
        assert {path.name for path in here.iterdir()} >= {"out"}
        assert not (here / "mine.search").exists()

    def test_without_a_space(self, here: Path) -> None:
        assert failure("train", "plain.yaml", "--search", "2") == (
            "'plain' has no search block to choose from; add one: "
            "search: {train.learning_rate: {low: 1.0e-3, high: 0.1, log: true}}"
        )

    @pytest.mark.parametrize("number", ["0", "-1", "many"])
    def test_number(self, here: Path, number: str) -> None:
        assert "--search" in misuse("train", "mine.yaml", "--search", number)

    def test_not_with_resume(self, here: Path) -> None:
        assert "give it alone" in misuse("train", "--resume", "out", "--search", "2")


def test_search_without_optuna(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    before = contents(here)
    message = failure("train", "plain.yaml", "--search", "2")
    assert message == 'a search needs optuna; pip install "gnnseg[search]"'
    assert contents(here) == before
