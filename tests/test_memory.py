from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gnnseg import memory
from gnnseg.errors import TooLargeError
from gnnseg.memory import available, require

GIB = 2**30


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose files say nothing yet."""
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    groups = [
        tuple(str(tmp_path / f"{v}-{name}") for name in ("max", "current", "stat")) for v in ("v2", "v1")
    ]
    monkeypatch.setattr(memory, "_GROUPS", groups)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return tmp_path


def test_of_the_system(machine: Path) -> None:
    (machine / "meminfo").write_text("MemTotal: 99 kB\nMemFree: 1 kB\nMemAvailable:   3145728 kB\n")
    assert available() == 3 * GIB


@pytest.mark.parametrize(("version", "idle"), [("v2", "inactive_file"), ("v1", "total_inactive_file")])
def test_of_a_container(machine: Path, version: str, idle: str) -> None:
    (machine / "meminfo").write_text("MemAvailable:   3145728 kB\n")
    (machine / f"{version}-max").write_text(f"{2 * GIB}\n")
    (machine / f"{version}-current").write_text(f"{GIB}\n")
    assert available() == GIB
    (machine / f"{version}-stat").write_text(f"anon 5\n{idle} 1000\n")
    assert available() == GIB + 1000
    (machine / f"{version}-max").write_text("max\n")
    assert available() == 3 * GIB
    (machine / f"{version}-max").write_text(f"{GIB // 2}\n")
    assert available() == 0


def test_without_any_of_them(machine: Path) -> None:
    found = available()
    assert found is not None
    assert found > GIB // 8
    assert available(torch.device("mps")) is None


def test_of_a_limit_on_addresses() -> None:
    """In a process that has one of its own."""
    code = (
        "import resource, torch\n"
        "from gnnseg.memory import available\n"
        "size = next(int(l.split()[1]) * 1024 for l in open('/proc/self/status') if l.startswith('VmSize'))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (size + 2**28,) * 2)\n"
        "print(available())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert 2**27 < int(told.stdout) <= 2**28


@pytest.mark.parametrize(("needed", "fits"), [(0, True), (3 * GIB, True), (3 * GIB + 1, False)])
def test_require(machine: Path, needed: int, fits: bool) -> None:
    (machine / "meminfo").write_text("MemAvailable:   3145728 kB\n")
    if fits:
        require(needed, "it", "take less")
        return
    with pytest.raises(TooLargeError) as caught:
        require(needed, "it", "take less")
    assert str(caught.value) == (
        f"it needs {needed} bytes (3.0 GiB), {3 * GIB} bytes (3.0 GiB) are available; take less"
    )


def test_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyTorch holds and does not use is available, too."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    device = torch.device("cuda:0")
    assert available(device) == 130
    require(130, "it", "take less", device)
    with pytest.raises(TooLargeError, match=r"it needs 131 bytes .* are available on cuda:0; take less"):
        require(131, "it", "take less", device)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_of_a_real_device() -> None:
    device = torch.device("cuda")
    before = available(device)
    assert before is not None
    held = torch.empty(2**28, dtype=torch.uint8, device=device)
    taken = available(device)
    assert taken is not None
    assert before - taken >= 2**28 * 0.9
    del held
    assert available(device) == pytest.approx(before, rel=0.05)
