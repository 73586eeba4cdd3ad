"""Files that are either whole or absent, and where the project keeps its own."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from gnnseg.errors import ConfigError, GnnsegError

_NAME = re.compile(r"[\w(][\w .,+=()@%&'~-]{0,99}(?<![ .])")


def checked_name(name: str) -> str:
    """A name that may become that of a folder: letters and digits of any script and a few signs, no path.

    Raises:
        ConfigError: If it holds anything else, such as a slash, or begins with a sign that hides or runs it.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "'name' must be 1 to 100 letters, digits, spaces or any of .,+=()@%&'~-_, begin with a letter, "
            f"digit, _ or ( and not end with a space or dot (got {name[:120]!r})"
        )
    return name


def inside(root: Path, name: str, instead: str) -> Path:
    """The path of ``name`` in ``root``, links followed.

    Args:
        root: May be a link itself, as whoever gave it chose it.
        name: Of a file or folder, there or not.
        instead: What to do where it leads elsewhere.

    Raises:
        ConfigError: If it leads out of ``root``.
    """
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise ConfigError(f"'{path}' leads out of '{root}', as a link or by its name; {instead}")
    return path


def home() -> Path:
    """Where downloads and caches live: ``$GNNSEG_HOME``, else the platform's cache folder."""
    named = os.environ.get("GNNSEG_HOME")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("gnnseg", appauthor=False))


_data_dir: ContextVar[Path | None] = ContextVar("data_dir", default=None)


@contextlib.contextmanager
def datasets_in(folder: Path) -> Iterator[None]:
    """Inside the block the files of shipped datasets are looked for in ``folder``."""
    before = _data_dir.set(folder.absolute())
    try:
        yield
    finally:
        _data_dir.reset(before)


def dataset_folder(name: str) -> Path:
    """Where the files of a shipped dataset are: ``<folder>/<name>``, or the folder itself without such a one.

    The folder is that of :func:`datasets_in`, else ``datasets`` in :func:`home`.

    Raises:
        ConfigError: If what has that name there is a link that leads elsewhere.
    """
    chosen = _data_dir.get()
    found = inside(chosen or home() / "datasets", name, "give the folder with its files itself as --data-dir")
    return found if chosen is None or found.is_dir() else chosen


def configs_folder() -> Path:
    """The shipped YAML files: inside the installed package, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


@contextlib.contextmanager
def writing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary sibling to write; it becomes ``path`` only if the block succeeds.

    Args:
        path: The file.
        durable: Whether it must outlive a loss of power: the content is on the disk before it has its name.

    Raises:
        GnnsegError: If the folder cannot be written or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        if durable:
            _sync(temporary)
        temporary.replace(path)
    except OSError as error:
        raise GnnsegError(f"cannot write '{path}': {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # else it would hide what went wrong
                temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can do that."""
    with contextlib.suppress(OSError):
        _sync(folder)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, atomically."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON, atomically; numbers that are not finite become null."""
    write_text(path, to_json(value) + "\n")


def to_json(value: Any, indent: int | None = 2) -> str:
    """JSON text with valid numbers only (NaN and infinities become null)."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
