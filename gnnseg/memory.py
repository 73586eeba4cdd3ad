"""Memory estimated before it is taken: a clear refusal instead of a process that the system kills."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import torch

from gnnseg.errors import TooLargeError

_MEMINFO = Path("/proc/meminfo")
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
"""Limit, use and its parts of this process's control group, by version 2 and 1."""


def available(device: torch.device | None = None) -> int | None:
    """Bytes that can still be taken, or None where the system does not say.

    On CUDA what the device has free and what PyTorch holds without use; else the least of what the system can
    give without swapping, what is left of the control group's limit (of a container) and of the limit on
    addresses (``ulimit -v``).

    Args:
        device: None for the CPU.
    """
    if device is not None and device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    if device is not None and device.type != "cpu":
        return None
    known = [bytes_ for bytes_ in (_of_system(), *map(_of_group, _GROUPS), _of_limit()) if bytes_ is not None]
    return min(known, default=None)


def require(needed: int, what: str, instead: str, device: torch.device | None = None) -> None:
    """Refuse what does not fit into memory.

    Args:
        needed: Bytes.
        what: That needs them.
        instead: What to do then.
        device: Where; None for the CPU.

    Raises:
        TooLargeError: If less is available; the message says how much of both.
    """
    free = available(device)
    if free is not None and needed > free:
        where = "" if device is None or device.type == "cpu" else f" on {device}"
        raise TooLargeError(f"{what} needs {_size(needed)}, {_size(free)} are available{where}; {instead}")


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch has a class for devices, none for the CPU."""
    on_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return on_cpu or isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)


def _size(number: int) -> str:
    """Bytes as they are read: exact and rounded."""
    return f"{number} bytes ({number / 2**30:.1f} GiB)"


def _of_system() -> int | None:
    for line in _lines(_MEMINFO):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    with contextlib.suppress(AttributeError, OSError, ValueError):  # no such names on some systems
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _of_group(paths: tuple[str, str, str]) -> int | None:
    """What is left of a limit; idle pages of files count as free, as the system drops them first."""
    limit, used = (_number(Path(path)) for path in paths[:2])
    if limit is None or used is None:
        return None
    parts = dict(line.split()[:2] for line in _lines(Path(paths[2])) if len(line.split()) == 2)
    idle = parts.get("total_inactive_file", parts.get("inactive_file", "0"))
    return max(0, limit - used + int(idle))


def _of_limit() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    taken = next(
        (int(line.split()[1]) for line in _lines(Path("/proc/self/status")) if line[:7] == "VmSize:"), 0
    )
    return max(0, limit - taken * 1024)


def _number(path: Path) -> int | None:
    text = "".join(_lines(path))
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return []
