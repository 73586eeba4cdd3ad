"""What a run ran on: versions, device, memory."""

from __future__ import annotations

import contextlib
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from gnnseg.errors import ConfigError

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def version() -> str:
    """The installed version of gnnseg."""
    try:
        return metadata.version("gnnseg")
    except metadata.PackageNotFoundError:
        return "0+uninstalled"


def find_device(name: str) -> torch.device:
    """The device that ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` stands for.

    Raises:
        ConfigError: If it is no such name, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, colon, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (colon and (kind != "cuda" or not index.isdecimal())):
        raise ConfigError(f"'device' must be auto, cpu, cuda, cuda:N or mps (got {name!r})")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(index or 0) >= count:
        raise ConfigError(
            f"device '{name}' was asked for, but this machine has {count} of its kind; use --device auto"
        )
    return torch.device(name)


def describe(device: torch.device) -> dict[str, Any]:
    """Versions and hardware, as results and runs record them."""
    return {
        "gnnseg": version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "cpu": _cpu(),
        "threads": torch.get_num_threads(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def reset_peak_memory() -> None:
    """Start a new measurement of peak memory, where the system allows it."""
    with contextlib.suppress(OSError):
        _RESET.write_text("5")


def peak_memory_mb() -> float:
    """Peak resident memory of this process in MB, since the last reset where the system allows one."""
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 if sys.platform != "darwin" else 1024**2)


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
