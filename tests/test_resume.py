from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from gnnseg.checkpoint import load_run
from gnnseg.config import Config, load_config
from gnnseg.errors import CheckpointError
from gnnseg.files import to_json
from gnnseg.pipeline import Run, fit, run
from gnnseg.resume import load_resume, save_resume
from gnnseg.run_folder import partial_folder
from tests.runs import (
    FULL,
    PLAIN,
    RESTLESS,
    Interrupt,
    assert_same,
    contents,
    lines_of,
    on_data,
    pairs,
    same_state,
    saved_run,
    scores,
    untimed,
    write_data,
)


@pytest.fixture(scope="module")
def whole() -> Run:
    """What no interruption may change."""
    return fit(RESTLESS)


class TestInterrupted:
    @pytest.mark.parametrize(("stage", "epoch"), [(1, 3), (1, 4), (1, 8), (2, 1), (2, 2), (2, 4), (2, 5)])
    def test_resumed_equals_uninterrupted(self, stage: int, epoch: int, whole: Run, tmp_path: Path) -> None:
        out, config = tmp_path / "run", load_config(RESTLESS)
        with pytest.raises(KeyboardInterrupt):
            run(config, out=out, tracker=Interrupt(stage, epoch))
        assert not out.exists()
        rest = Interrupt(9, 9)
        result = run(config, out=out, resume=out, tracker=rest)
        assert_same(result, whole)
        assert (1, 1) not in rest.seen
        assert rest.seen[-1] == (2, 5)
        assert untimed(lines_of(out / "history.jsonl")) == untimed(whole.history)
        assert not partial_folder(out).exists()
        assert not (out / "resume.safetensors").exists()
        saved = load_run(out).model()
        assert saved is not None
        assert whole.model is not None
        assert same_state(saved, whole.model)

    @pytest.mark.parametrize("head", ["Experts", "SubgraphPropagation", "GroupMLP"])
    def test_heads_that_take_something_from_the_graph(self, head: str, tmp_path: Path) -> None:
        out, config = tmp_path / "run", load_config({**RESTLESS, "head": head})
        with pytest.raises(KeyboardInterrupt):
            run(config, out=out, tracker=Interrupt(2, 3))
        assert_same(run(config, out=out, resume=out), run(config))

    def test_twice(self, whole: Run, tmp_path: Path) -> None:
        out, config = tmp_path / "run", load_config(RESTLESS)
        for stage, epoch, resume in [(1, 5, None), (2, 3, out)]:
            with pytest.raises(KeyboardInterrupt):
                run(config, out=out, resume=resume, tracker=Interrupt(stage, epoch))
        assert_same(run(config, resume=partial_folder(out)), whole)
        assert out.is_dir()

    @pytest.mark.parametrize("sampler", ["Popularity", "InBatch", "DynamicHard"])
    def test_with_every_source_of_noise(self, sampler: str, tmp_path: Path) -> None:
        noise = ["EmbeddingL2", "SimGCL", "XSimGCL"]
        encoder = {"name": "LightGCN", "dim": 8, "edge_dropout": 0.2, "message_dropout": 0.1}
        config = load_config({**RESTLESS, "encoder": encoder, "sampler": sampler, "regularizers": noise})
        whole = run(config)
        for stage, epoch in [(1, 5), (2, 3)]:
            out = tmp_path / f"{stage}"
            with pytest.raises(KeyboardInterrupt):
                run(config, out=out, tracker=Interrupt(stage, epoch))
            assert_same(run(config, resume=out), whole)

    def test_after_stage_one_stopped_early(self, tmp_path: Path) -> None:
        """A resumed stage 1 that has lost its patience must not take another step."""
        impatient = {**RESTLESS["train"], "epochs": 30, "evaluate_every": 1, "patience": 1}
        config = load_config({**RESTLESS, "train": impatient})
        whole = run(config)
        assert sum(record["stage"] == 1 for record in whole.history) < 30
        with pytest.raises(KeyboardInterrupt):
            run(config, out=tmp_path / "run", tracker=Interrupt(2, 1))
        assert_same(run(config, resume=tmp_path / "run"), whole)

    def test_without_validation(self, tmp_path: Path) -> None:
        split = {"name": "Random", "valid": 0.0, "test": 0.2}
        config = load_config(RESTLESS, [f"dataset.split={json.dumps(split)}"])
        whole = run(config)
        with pytest.raises(KeyboardInterrupt):
            run(config, out=tmp_path / "run", tracker=Interrupt(2, 3))
        result = run(config, resume=tmp_path / "run")
        assert to_json(untimed(result.history)) == to_json(untimed(whole.history))
        assert torch.equal(scores(result), scores(whole))

    def test_before_there_is_anything_to_keep(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(load_config(RESTLESS), out=tmp_path / "run", tracker=Interrupt(1, 1))
        assert list(tmp_path.iterdir()) == []

    def test_not_overwritten(self, whole: Run, tmp_path: Path) -> None:
        out, config = tmp_path / "run", load_config(RESTLESS)
        with pytest.raises(KeyboardInterrupt):
            run(config, out=out, tracker=Interrupt(2, 3))
        left = contents(tmp_path)
        with pytest.raises(CheckpointError, match="an interrupted run can go on: gnnseg train --resume"):
            run(config, out=out)
        assert contents(tmp_path) == left
        shutil.rmtree(partial_folder(out))
        assert_same(run(config, out=out), whole)
        assert untimed(lines_of(out / "history.jsonl")) == untimed(whole.history)

    def test_useless_remains_are_no_hindrance(self, whole: Run, tmp_path: Path) -> None:
        out = tmp_path / "run"
        partial_folder(out).mkdir()
        (partial_folder(out) / "tensorboard").mkdir()
        (partial_folder(out) / "tensorboard" / "events").write_text("a killed process left this")
        (partial_folder(out) / "history.jsonl").write_text("{}\n")
        assert_same(run(load_config(RESTLESS), out=out), whole)
        assert untimed(lines_of(out / "history.jsonl")) == untimed(whole.history)
        assert {path.name for path in tmp_path.iterdir()} == {"run"}
        assert "tensorboard/events" not in contents(out)

    @pytest.mark.parametrize("name", ["run", ".run.partial"])
    def test_nothing_to_resume(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="there is no interrupted run"):
            run(load_config(RESTLESS), resume=tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_finished_run_is_not_resumed(self) -> None:
        before = contents(saved_run())
        with pytest.raises(CheckpointError, match="there is no interrupted run"):
            run(load_config(on_data(FULL)), resume=saved_run())
        assert contents(saved_run()) == before

    def test_resumed_on_other_data(self, tmp_path: Path) -> None:
        path = write_data(tmp_path)
        config = load_config({**RESTLESS, "dataset": str(path)})
        with pytest.raises(KeyboardInterrupt):
            run(config, out=tmp_path / "run", tracker=Interrupt(1, 5))
        write_data(tmp_path, [(1000 + user, f"i{item:02}", 4) for user, item in pairs() if user < 50])
        with pytest.raises(CheckpointError, match="does not fit") as caught:
            run(config, resume=tmp_path / "run")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()

    def test_damaged(self, tmp_path: Path) -> None:
        config = load_config(RESTLESS)
        with pytest.raises(KeyboardInterrupt):
            run(config, out=tmp_path / "run", tracker=Interrupt(1, 5))
        damaged = partial_folder(tmp_path / "run") / "resume.safetensors"
        damaged.write_bytes(damaged.read_bytes()[:-20])
        with pytest.raises(CheckpointError, match=r"resume\.safetensors"):
            run(config, resume=tmp_path / "run")
        assert not (tmp_path / "run").exists()
        assert damaged.exists()


class TestFile:
    @pytest.fixture
    def config(self) -> Config:
        return load_config(on_data(PLAIN))

    def test_round_trip(self, config: Config, tmp_path: Path) -> None:
        save_resume(tmp_path, config, {"a": torch.arange(3)}, {"stage": 2, "epoch": 5, "more": [1]})
        tensors, state = load_resume(tmp_path, config)
        assert torch.equal(tensors["a"], torch.arange(3))
        assert (state["stage"], state["epoch"], state["more"]) == (2, 5, [1])
        assert state["config"] == config.resolved()

    def test_nothing_there(self, config: Config, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="holds no training to resume"):
            load_resume(tmp_path, config)

    def test_a_format_of_the_future(self, config: Config, tmp_path: Path) -> None:
        save_resume(tmp_path, config, {}, {"stage": 1, "epoch": 1, "format": 9})
        with pytest.raises(CheckpointError, match="has format 9; this version reads 2"):
            load_resume(tmp_path, config)

    def test_another_config(self, config: Config, tmp_path: Path) -> None:
        save_resume(tmp_path, config, {}, {"stage": 1, "epoch": 1})
        other = load_config(on_data(PLAIN), ["encoder.dim=4", "seed=3"])
        with pytest.raises(CheckpointError) as caught:
            load_resume(tmp_path, other)
        assert str(caught.value) == (
            f"'{tmp_path}' was begun with another config: seed 0 there, 3 here; encoder.dim 8 there, 4 here; "
            "train it again"
        )

    def test_another_device(self, config: Config, tmp_path: Path) -> None:
        save_resume(tmp_path, config, {}, {"stage": 1, "epoch": 1})
        assert load_resume(tmp_path, load_config(on_data(PLAIN), device="auto"))

    @pytest.mark.parametrize(("now", "fits"), [("1.2.9", True), ("1.3.0", False), ("2.2.3", False)])
    def test_another_version(
        self, now: str, fits: bool, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gnnseg.resume.version", lambda: "1.2.3")
        save_resume(tmp_path, config, {}, {"stage": 1, "epoch": 1})
        monkeypatch.setattr("gnnseg.resume.version", lambda: now)
        if fits:
            assert load_resume(tmp_path, config)
            return
        with pytest.raises(
            CheckpointError, match=rf"begun by gnnseg 1\.2\.3, this is {now}; go on with 1\.2\.3"
        ):
            load_resume(tmp_path, config)
