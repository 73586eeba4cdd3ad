from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from gnnseg import fitting
from gnnseg import search as module
from gnnseg.checkpoint import read_json
from gnnseg.config import Config, load_config
from gnnseg.errors import CheckpointError, ConfigError, TrainingError
from gnnseg.evaluation import evaluate
from gnnseg.metrics import parse
from gnnseg.pipeline import run
from gnnseg.prepared import Prepared
from gnnseg.search import Found, search, study_folder, tune
from gnnseg.space import holds
from gnnseg.tracking import Tracker
from tests.runs import (
    FULL,
    SCHEDULE,
    SEARCHED,
    InterruptTrial,
    contents,
    fill_disk,
    on_data,
    scores,
    trained,
)

pytest.importorskip("optuna", reason="a search needs optuna, which is not installed")


def config_of(**changes: Any) -> Config:
    return load_config(on_data(SEARCHED, name="small", **changes))


def found_in(folder: Path, trials: int, config: Config | None = None, **options: Any) -> Found:
    options = {"data": trained().data, "tracker": Tracker(), **options}
    return search(config or config_of(), trials, folder, **options)


def untimed(found: Found) -> list[dict[str, Any]]:
    return [{k: v for k, v in trial.items() if k != "seconds"} for trial in found.trials]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What no interruption may change."""
    return found_in(tmp_path_factory.mktemp("whole") / "s", 7)


class TestTrials:
    def test_the_first_is_the_config_as_it_stands(self, whole: Found) -> None:
        own = {"train.learning_rate": 0.02, "train.weight_decay": 0.0}
        assert whole.trials[0]["settings"] == {**own, "encoder.num_layers": 2, "encoder.dim": 8}
        result = run(config_of())
        assert whole.trials[0]["value"] == result.valid.means["ndcg@10"]
        assert whole.trials[0]["epochs"] == len(result.history)

    def test_the_others_lie_in_the_space(self, whole: Found) -> None:
        space = whole.config.search
        for trial in whole.trials[1:]:
            assert all(holds(form, trial["settings"][key]) for key, form in space.items())
        assert len({str(trial["settings"]) for trial in whole.trials}) > 4

    def test_the_best(self, whole: Found) -> None:
        best = max(whole.trials, key=lambda trial: trial["value"])
        assert whole.best == {
            "trial": whole.trials.index(best) + 1,
            "settings": best["settings"],
            "value": best["value"],
            "metric": "ndcg@10",
        }
        assert whole.config == config_of().with_settings(best["settings"])
        assert load_config({**on_data(SEARCHED, name="small"), **merged(whole)}) == whole.config

    def test_another_seed_tries_others(self, whole: Found, tmp_path: Path) -> None:
        other = found_in(tmp_path, 2, config_of(seed=1))
        assert other.trials[1]["settings"] != whole.trials[1]["settings"]

    def test_test_is_never_looked_at(
        self, whole: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data, judged = trained().data, []

        def watched(scorer: Any, held_out: Any, *args: Any, **kwargs: Any) -> Any:
            judged.append(held_out)
            return evaluate(scorer, held_out, *args, **kwargs)

        for place in ("gnnseg.fitting.evaluate", "gnnseg.search.evaluate", "gnnseg.pipeline.evaluate"):
            monkeypatch.setattr(place, watched)
        hidden = dataclasses.replace(
            data, parts=dataclasses.replace(data.parts, test=Hidden(data.parts.test))
        )
        assert untimed(found_in(tmp_path, 7, data=hidden)) == untimed(whole)
        assert judged
        assert all(part is data.parts.valid for part in judged)

    def test_chooses_by_a_metric_that_is_not_reported(self, tmp_path: Path) -> None:
        found = found_in(tmp_path, 1, config_of(choose_by="hit@3"))
        assert parse(found.best["metric"]) == parse("hit@3")
        assert 0 < found.best["value"] <= 1

    def test_a_baseline(self, tmp_path: Path) -> None:
        content = {"baseline": "ItemKNN", "search": {"baseline.num_neighbors": [5, 20]}}
        found = found_in(tmp_path, 3, load_config(on_data(content)))
        assert {trial["settings"]["baseline.num_neighbors"] for trial in found.trials[1:]} <= {5, 20}
        assert found.trials[0]["epochs"] == 0

    def test_both_stages(self, tmp_path: Path) -> None:
        content = on_data(FULL, search={"head": ["FiLM", {"name": "LoRA", "rank": 2}]})
        found = found_in(tmp_path, 2, load_config(content))
        assert found.trials[0]["value"] == trained().valid.means["ndcg@10"]
        assert found.trials[1]["settings"]["head"] in ["FiLM", {"name": "LoRA", "rank": 2}]

    def test_progress(self, tmp_path: Path) -> None:
        told: list[tuple[int, dict[str, float]]] = []

        class Told(Tracker):
            def task(self, name: str, total: int) -> Any:
                context = super().task(name, total)
                if name == "search":
                    assert total == 2
                    return Patched(context, told)
                return context

        found = found_in(tmp_path, 2, tracker=Told())
        values = [trial["value"] for trial in found.trials]
        assert told == [(0, {}), (1, {"best": values[0]}), (1, {"best": max(values)})]

    def test_a_hopeless_trial_is_pruned(self, tmp_path: Path) -> None:
        train = {**SCHEDULE, "epochs": 9, "evaluate_every": 1, "patience": 3}
        space = {"train.learning_rate": [0.02, 0.03, 0.05, 0.00001]}
        found = found_in(tmp_path, 16, config_of(train=train, search=space))
        pruned = [trial for trial in found.trials if trial["state"] == "pruned"]
        assert pruned
        assert all(trial["epochs"] >= 3 for trial in pruned)
        assert found.best["settings"]["train.learning_rate"] > 0.01


def merged(found: Found) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, part in found.overrides.items():
        content[key] = {**SEARCHED[key], **part}
    return content


class Hidden:
    """A part of the data whose length is all that may be asked for."""

    def __init__(self, part: Any) -> None:
        self._length = len(part)

    def __len__(self) -> int:
        return self._length


class Patched:
    """A task that tells a list."""

    def __init__(self, context: Any, told: list[Any]) -> None:
        self.context, self.told = context, told

    def __enter__(self) -> Any:
        task = self.context.__enter__()
        task.advance = lambda count=1, **fields: self.told.append((count, fields))
        return task

    def __exit__(self, *error: Any) -> Any:
        return self.context.__exit__(*error)


class TestContinued:
    @pytest.mark.parametrize("at", [1, 2, 5])
    def test_stopped_within_a_trial(self, at: int, whole: Found, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            found_in(tmp_path / "s", 7, tracker=InterruptTrial(at))
        found = found_in(tmp_path / "s", 7)
        assert untimed(found) == untimed(whole)
        assert found.best == whole.best

    def test_killed_while_it_wrote(self, whole: Found, tmp_path: Path) -> None:
        found_in(tmp_path, 3)
        with (tmp_path / "study.log").open("ab") as log:
            log.write(b'{"op_code": 4, "wor')
        assert untimed(found_in(tmp_path, 7)) == untimed(whole)

    def test_more_trials_later(self, whole: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found_in(tmp_path, 3)
        tried = []
        monkeypatch.setattr(
            module, "fit_scorer", lambda *args: tried.append(args[0]) or fitting.fit_scorer(*args)
        )
        assert untimed(found_in(tmp_path, 7)) == untimed(whole)
        assert len(tried) == 4
        assert untimed(found_in(tmp_path, 2)) == untimed(whole)

    @pytest.mark.parametrize(
        ("changes", "difference"),
        [
            ({"seed": 3}, "seed 0 there, 3 here"),
            ({"choose_by": "recall@10"}, "choose_by 'ndcg@10' there, 'recall@10' here"),
            (
                {"search": {**SEARCHED["search"], "encoder.num_layers": [1, 2]}},
                "search.encoder.num_layers [1, 2, 3] there, [1, 2] here",
            ),
        ],
    )
    def test_another_study(self, changes: dict[str, Any], difference: str, tmp_path: Path) -> None:
        found_in(tmp_path, 1)
        with pytest.raises(CheckpointError) as caught:
            found_in(tmp_path, 2, config_of(**changes))
        assert str(caught.value) == (
            f"'{tmp_path}' holds another study: {difference}; remove it, or name this one with -s name=..."
        )
        assert len(found_in(tmp_path, 1).trials) == 1

    def test_other_data(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        found_in(tmp_path, 1)
        monkeypatch.setattr(Prepared, "describe", lambda _: {"digest": "sha256:other"})
        with pytest.raises(CheckpointError, match=r"data 'sha256:\w+' there, 'sha256:other' here; remove it"):
            found_in(tmp_path, 2)

    def test_another_device(self, tmp_path: Path) -> None:
        found_in(tmp_path, 1)
        assert len(found_in(tmp_path, 2, config_of(device="auto")).trials) == 2

    @pytest.mark.parametrize("content", ["hello\n", "{}\n", "[]\n"])
    def test_damaged(self, content: str, tmp_path: Path) -> None:
        (tmp_path / "study.log").write_text(content)
        with pytest.raises(CheckpointError, match=r"study\.log' is damaged: .*; remove it to begin anew"):
            found_in(tmp_path, 1)

    def test_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        with pytest.raises(CheckpointError, match=r"cannot write '.*file/s': "):
            found_in(tmp_path / "file" / "s", 1)

    def test_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill_disk(monkeypatch, "study.log")
        with pytest.raises(CheckpointError, match=r"cannot write '.*': No space left on device"):
            found_in(tmp_path, 1)


class TestFailures:
    def explode(self, monkeypatch: pytest.MonkeyPatch, when: Any) -> None:
        def fit(config: Config, *args: Any) -> Any:
            if when(config):
                raise TrainingError("the loss is nan in epoch 1")
            return fitting.fit_scorer(config, *args)

        monkeypatch.setattr(module, "fit_scorer", fit)

    def test_a_loss_that_explodes_is_not_the_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.explode(monkeypatch, lambda config: config.train.weight_decay == 0)
        found = found_in(tmp_path, 3)
        assert [trial["state"] for trial in found.trials] == ["fail", "complete", "complete"]
        assert found.trials[0]["value"] is None
        assert found.best["trial"] > 1

    def test_nothing_finite(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.explode(monkeypatch, lambda config: True)
        for _ in range(2):
            with pytest.raises(TrainingError) as caught:
                found_in(tmp_path, 2)
            assert str(caught.value) == (
                "none of 2 trials ended with a finite loss; search lower values of train.learning_rate, and "
                f"remove '{tmp_path}' to begin anew"
            )

    def test_nothing_to_choose_on(self, tmp_path: Path) -> None:
        data = trained().data
        empty = dataclasses.replace(data.parts, valid=data.parts.valid[:0])
        with pytest.raises(
            ConfigError, match=r"chooses on validation, which is empty; set dataset\.split\.valid"
        ):
            found_in(tmp_path, 1, data=dataclasses.replace(data, parts=empty))


class TestTune:
    def test_the_best_is_run_for_real(self, whole: Found, tmp_path: Path) -> None:
        out = tmp_path / "out"
        result, found = tune(config_of(), 7, out)
        assert untimed(found) == untimed(whole)
        assert (scores(result) == scores(run(whole.config))).all()
        assert read_json(out / "search.json") == found.as_json()
        assert load_config(out / "config.yaml") == whole.config
        assert result.metrics["test"]["ndcg@10"] > 0
        assert {path.name for path in tmp_path.iterdir()} == {"out", "small.search"}
        assert study_folder(config_of(), out) == tmp_path / "small.search"

    def test_stopped_in_the_last_run(self, whole: Found, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            tune(config_of(), 2, out, InterruptTrial(3))
        with pytest.raises(CheckpointError, match="an interrupted run can go on: gnnseg train --resume"):
            tune(config_of(), 2, out)
        run(load_config(tmp_path / ".out.partial" / "config.yaml"), resume=out)
        assert len(read_json(out / "search.json")["trials"]) == 2

    def test_the_folder_is_taken(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("mine")
        with pytest.raises(CheckpointError, match="exists already; choose another --out or remove it"):
            tune(config_of(), 2, tmp_path / "out")
        assert contents(tmp_path) == {"out": b"mine"}

    def test_without_a_space(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigError, match=r"'small' has no search block .* search: \{train\.learning_rate"
        ):
            tune(config_of(search=None), 2, tmp_path / "out")

    def test_without_optuna(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "optuna", None)
        with pytest.raises(ConfigError, match=r'a search needs optuna; pip install "gnnseg\[search\]"'):
            tune(config_of(), 2, tmp_path / "out")
        assert contents(tmp_path) == {}
