from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from gnnseg.errors import ConfigError, GnnsegError
from gnnseg.tracking import WandB

CONFIG = {"name": "small", "encoder": {"dim": 8}, "text": None}
FIRST = {"stage": 1, "epoch": 1, "loss": 0.5, "valid_ndcg@10": 0.25}
SECOND = {"stage": 1, "epoch": 2, "loss": 0.25}
THIRD = {"stage": 2, "epoch": 1, "loss": 0.125, "valid_ndcg@10": float("nan")}


class Stand(ModuleType):
    """Stands in for ``wandb``: makes the folder that it would, and writes down what it is told."""

    def __init__(self, *, step: int = 0, reason: Exception | None = None) -> None:
        super().__init__("wandb")
        self.step, self.reason = step, reason
        self.asked: list[dict[str, Any]] = []
        self.logged: dict[int, dict[str, float]] = {}
        self.summary: dict[str, float] = {}
        self.codes: list[int] = []
        self.errors = SimpleNamespace(Error=type("Error", (Exception,), {}))

    def Settings(self, **settings: Any) -> dict[str, Any]:
        return settings

    def setup(self, settings: dict[str, Any]) -> None:
        assert settings["silent"]

    def init(self, **options: Any) -> Any:
        self.asked.append(options)
        offline = options.get("mode") == "offline"
        identity = options.get("id", f"id-{len(self.asked)}")
        run = f"run-20260102_030405-{identity}"
        folder = Path(options["dir"]) / "wandb" / (f"offline-{run}" if offline else run)
        folder.mkdir(parents=True)
        if self.reason is not None and not offline:
            raise self.reason
        return SimpleNamespace(step=self.step, summary=self.summary, log=self.log, finish=self.finish)

    def log(self, data: dict[str, float], step: int) -> None:
        assert step not in self.logged
        self.logged[step] = data

    def finish(self, exit_code: int) -> None:
        self.codes.append(exit_code)


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_API_KEY", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)


def stand_in(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Stand:
    module = Stand(**options)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_what_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = stand_in(monkeypatch)
    tracker = WandB()
    with tracker.following(tmp_path, CONFIG):
        for record in (FIRST, SECOND, THIRD):
            tracker.log(record)
        tracker.finish({"ndcg@10": 0.5, "segment_gap": None})
    [asked] = module.asked
    settings = asked.pop("settings")
    assert settings == {"silent": True, "console": "off", "init_timeout": 20.0}
    assert asked == {
        "project": "gnnseg",
        "name": "small",
        "config": CONFIG,
        "dir": str(tmp_path),
        "reinit": "create_new",
    }
    assert module.logged == {
        1: {"stage1/epoch": 1.0, "stage1/loss": 0.5, "stage1/valid_ndcg@10": 0.25},
        2: {"stage1/epoch": 2.0, "stage1/loss": 0.25},
        3: {"stage2/epoch": 1.0, "stage2/loss": 0.125},
    }
    assert module.summary == {"test/ndcg@10": 0.5}
    assert module.codes == [0]


def test_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = stand_in(monkeypatch)
    with pytest.raises(KeyboardInterrupt), WandB().following(tmp_path, CONFIG):
        raise KeyboardInterrupt
    assert module.codes == [1]


def test_project_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "films")
    module = stand_in(monkeypatch)
    with WandB().following(tmp_path, CONFIG):
        pass
    assert module.asked[0]["project"] == "films"


class TestResumed:
    def test_where_the_server_has_the_first_epochs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "wandb" / "run-20260101_000000-older").mkdir(parents=True)
        (tmp_path / "wandb" / "run-20260101_000001-some-name").mkdir()
        module = stand_in(monkeypatch, step=3)  # it has steps 1 and 2, interrupted after the save at 1
        tracker = WandB()
        with tracker.following(tmp_path, CONFIG, [FIRST]):
            tracker.log(SECOND)
            tracker.log(THIRD)
        assert (module.asked[0]["id"], module.asked[0]["resume"]) == ("some-name", "allow")
        assert list(module.logged) == [3]
        assert [path.name for path in (tmp_path / "wandb").iterdir()] == ["run-20260102_030405-some-name"]

    def test_offline_all_of_it_is_written_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "wandb" / "offline-run-20260101_000000-1a2b").mkdir(parents=True)
        module = stand_in(monkeypatch)
        tracker = WandB()
        with tracker.following(tmp_path, CONFIG, [FIRST, SECOND]):
            tracker.log(THIRD)
        assert module.asked[0]["id"] == "1a2b"
        assert list(module.logged) == [1, 2, 3]


class TestOutOfReach:
    def test_goes_offline(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        module = stand_in(monkeypatch)
        module.reason = module.errors.Error("no such\nhost")
        with caplog.at_level(logging.WARNING), WandB().following(tmp_path, CONFIG):
            pass
        assert [asked.get("mode") for asked in module.asked] == [None, "offline"]
        assert [path.name for path in (tmp_path / "wandb").iterdir()] == ["offline-run-20260102_030405-id-2"]
        assert caplog.messages == [
            "wandb keeps this run offline, to send later with 'wandb sync': no such host"
        ]

    def test_unless_a_mode_was_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WANDB_MODE", "online")
        module = stand_in(monkeypatch, reason=ValueError("no key"))
        with pytest.raises(GnnsegError) as caught, WandB().following(tmp_path, CONFIG):
            pass
        assert str(caught.value) == ("wandb cannot start (WANDB_MODE=online): no key; try WANDB_MODE=offline")
        assert module.codes == []


def test_needs_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch)
    with pytest.raises(ConfigError) as caught, WandB().following(None, CONFIG):
        pass
    assert str(caught.value) == "WandB writes into the folder of a run (got none); give 'out'"


def kept(path: Path) -> Iterator[Any]:
    """Records of a ``.wandb`` file, which is a log as LevelDB writes them: blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        parts += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def complete(path: Path) -> list[Any]:
    """The records once the last is there: the service writes them a moment after a run was finished."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        records = list(kept(path))
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            return records
        time.sleep(0.05)
    raise TimeoutError(path)


@pytest.mark.slow
def test_the_real_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, interrupted and resumed; what is read back is what wandb would send."""
    pytest.importorskip("wandb", reason="wandb comes with gnnseg[tracking]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = WandB()
    with contextlib.suppress(KeyboardInterrupt), tracker.following(tmp_path, CONFIG):
        tracker.log(FIRST)
        tracker.log(SECOND)
        raise KeyboardInterrupt
    [before] = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    with tracker.following(tmp_path, CONFIG, [FIRST]):
        tracker.log(SECOND)
        tracker.log(THIRD)
        tracker.finish({"ndcg@10": 0.5})
    [after] = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert after.name == before.name
    records = complete(after)
    points = [
        {item.nested_key[0]: item.value_json for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    assert [(p["_step"], p.get("stage1/loss"), p.get("stage2/loss")) for p in points] == [
        ("1", "0.5", None),
        ("2", "0.25", None),
        ("3", None, "0.125"),
    ]
    [run] = [record.run for record in records if record.WhichOneof("record_type") == "run"]
    assert (run.project, run.display_name) == ("gnnseg", "small")
    assert {u.key: u.value_json for u in run.config.update}["encoder"] == '{"dim":8}'
    summary = {u.key: u.value_json for r in records for u in r.summary.update}
    assert summary["test/ndcg@10"] == "0.5"
    assert [r.exit.exit_code for r in records if r.WhichOneof("record_type") == "exit"] == [0]
