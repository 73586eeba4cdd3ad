from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from gnnseg import doctor
from gnnseg.doctor import EXTRAS, PACKAGES, diagnose
from gnnseg.recommend import Recommender

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def check(name: str, **options: Any) -> dict[str, Any]:
    found = {c["name"]: c for c in diagnose(**{"self_test": False, **options})["checks"]}
    assert found[name]["text"]
    return found[name]


def test_versions_are_those_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = check("versions")
    assert found["state"] == "ok"
    assert found["found"]["torch"] == metadata.version("torch")
    assert set(PACKAGES) < {requirement.partition(">")[0] for requirement in PROJECT["dependencies"]}
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package"))
    lacking = check("versions")
    assert lacking["state"] == "broken"
    assert "no-such-package" in lacking["text"]


def test_extras_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - {"dev"}
    monkeypatch.setattr(doctor, "EXTRAS", {"here": ("json",), "half": ("json", "no_such_module")})
    found = check("extras")
    assert found["installed"] == ["here"]
    assert found["missing"] == {"half": ["no_such_module"]}
    assert found["state"] == "ok"


def test_a_device_that_is_not_there_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check("device", device="cpu")["state"] == "ok"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert check("device", device="cuda:0")["state"] == "broken"


def test_more_threads_than_cpus_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(64), raising=False)
    assert check("threads")["state"] == "ok"
    assert check("threads")["cpus"] == 64
    monkeypatch.setattr(torch, "get_num_threads", lambda: 65)
    found = check("threads")
    assert found["state"] == "note"
    assert "OMP_NUM_THREADS=64" in found["text"]


def test_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNNSEG_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "file").write_bytes(bytes(1234))
    monkeypatch.setattr(doctor, "LITTLE_SPACE", 0)
    found = check("cache")
    assert (found["state"], found["used_bytes"]) == ("ok", 1234)
    monkeypatch.setattr(doctor, "LITTLE_SPACE", 2**70)
    assert check("cache")["state"] == "note"
    monkeypatch.setenv("GNNSEG_HOME", str(tmp_path / "home" / "file"))
    found = check("cache")
    assert found["state"] == "broken"
    assert "GNNSEG_HOME" in found["text"]


def test_weights_that_are_missing_break_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MINILM", "nobody/no-such-model")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert check("weights")["state"] == "note"


def test_configs_that_are_missing_are_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check("configs")["number"] > 20
    monkeypatch.setattr(doctor, "configs_folder", lambda: tmp_path)
    assert check("configs")["state"] == "broken"


def test_self_test() -> None:
    found = check("self-test", self_test=True, device="cpu")
    assert found["state"] == "ok", found
    assert "saved, loaded" in found["text"]


def test_self_test_finds_a_system_that_learns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {**doctor.CHECKED, "train": {"epochs": 0}, "fine_tune": {"epochs": 0}}
    del nothing["segmenter"], nothing["head"]
    monkeypatch.setattr(doctor, "CHECKED", {**nothing, "encoder": {"name": "MatrixFactorization", "dim": 2}})
    found = diagnose("cpu")
    assert not found["ok"]
    assert "where chance is" in found["checks"][-1]["text"]


def test_self_test_finds_a_run_that_changes_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Recommender.load

    def changed(folder: Path) -> Recommender:
        found = load(folder)
        found.run.scorer.users.data.mul_(2)  # type: ignore[operator,union-attr]
        return found

    monkeypatch.setattr(Recommender, "load", changed)
    assert "scores otherwise" in check("self-test", self_test=True, device="cpu")["text"]


def test_self_test_tells_any_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr(doctor, "run", broken)
    found = check("self-test", self_test=True)
    assert found["state"] == "broken"
    assert found["text"] == "ZeroDivisionError: one two"
