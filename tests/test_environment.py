import json
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnseg import environment
from gnnseg.environment import describe, find_device, peak_memory_mb, reset_peak_memory, version
from gnnseg.errors import ConfigError


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without accelerators; set more to pretend more."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return monkeypatch


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_cpu(devices: pytest.MonkeyPatch, name: str) -> None:
    assert find_device(name) == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:3", "mps"])
def test_asked_for_where_there_is_none(devices: pytest.MonkeyPatch, name: str) -> None:
    message = f"device '{name}' was asked for, but this machine has 0 of its kind; use --device auto"
    with pytest.raises(ConfigError, match=f"^{message}$"):
        find_device(name)


@pytest.mark.parametrize(
    "name",
    ["", "gpu", "CPU", "cpu:0", "cpu:", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "mps:0", "cuda 0", "meta"],
)
def test_wrong_names(devices: pytest.MonkeyPatch, name: str) -> None:
    with pytest.raises(ConfigError, match=r"^'device' must be auto, cpu, cuda, cuda:N or mps") as caught:
        find_device(name)
    assert f"(got {name!r})" in str(caught.value)


def test_accelerators(devices: pytest.MonkeyPatch) -> None:
    devices.setattr(torch.cuda, "is_available", lambda: True)
    devices.setattr(torch.cuda, "device_count", lambda: 2)
    devices.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_device("auto") == torch.device("cuda")
    assert find_device("cuda") == torch.device("cuda")
    assert find_device("cuda:1") == torch.device("cuda:1")
    assert find_device("mps") == torch.device("mps")
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(
        ConfigError, match="device 'cuda:2' was asked for, but this machine has 2 of its kind"
    ):
        find_device("cuda:2")


def test_description() -> None:
    found = describe(torch.device("cpu"))
    assert list(found) == ["gnnseg", "python", "torch", "device", "cpu", "threads", "started"]
    assert found["torch"] == torch.__version__
    assert found["device"] == "cpu"
    assert found["threads"] == torch.get_num_threads()
    assert found["cpu"]
    started = datetime.fromisoformat(found["started"])
    assert abs(datetime.now(started.tzinfo) - started) < timedelta(minutes=1)
    assert json.loads(json.dumps(found)) == found


def test_description_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Fast {device.index}")
    assert describe(torch.device("cuda:1"))["device"] == "Fast 1"


def test_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: {"gnnseg": "1.2.3"}[name])
    assert version() == "1.2.3"

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert version() == "0+uninstalled"


def test_peak_memory() -> None:
    reset_peak_memory()
    before = peak_memory_mb()
    assert 10 < before < 100_000
    block = np.ones(2**24)  # 128 MiB
    during = peak_memory_mb()
    assert during >= before + 100
    del block
    assert peak_memory_mb() >= during - 1


@pytest.mark.parametrize(("platform", "peak"), [("linux", 2048.0), ("darwin", 2.0)])
def test_peak_memory_without_proc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, peak: float
) -> None:
    class Usage:
        ru_maxrss = 2 * 1024**2

    monkeypatch.setattr(environment, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(environment, "_RESET", tmp_path / "none" / "either")
    monkeypatch.setattr(environment.sys, "platform", platform)
    monkeypatch.setattr(pytest.importorskip("resource"), "getrusage", lambda who: Usage)
    reset_peak_memory()
    assert peak_memory_mb() == peak
