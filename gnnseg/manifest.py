"""What a finished folder holds, written last: a part that is gone, cut or changed is refused by name."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnnseg.errors import CheckpointError
from gnnseg.files import sync_folder, writing
from gnnseg.run_folder import RESUME_FILE, SHARDS

MANIFEST = "manifest.json"
"""``{"format": 1, "parts": {"model.json": {"bytes": 0, "sha256": "..."}}}``"""

FORMAT = 1

_RESTORE = f"restore it from a copy, or delete '{MANIFEST}' beside it to read the folder unchecked"


def seal(folder: Path) -> None:
    """Write down every file of a folder that is complete; those in folders below it are not parts of it.

    All of them are on the disk, not only in its cache, before the manifest is.

    Raises:
        GnnsegError: If the folder cannot be read or written.
    """
    path = folder / MANIFEST
    with writing(path, durable=True) as temporary:
        found = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
        left = {MANIFEST, RESUME_FILE, *(p.name for p in folder.glob(SHARDS))}
        parts = {p.name: _measured(p) for p in found if p.name not in left}
        text = json.dumps({"format": FORMAT, "parts": parts}, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")
    sync_folder(folder)


def check_parts(folder: Path, later: tuple[str, ...] = ()) -> None:
    """Compare every part of a folder with its manifest; without one, which is older than this, nothing.

    Args:
        folder: Of a finished run.
        later: Parts of which only the size is looked at, as :func:`check_part` is called when they are read.

    Raises:
        CheckpointError: If a part is missing or is not what was written.
    """
    parts = _read(folder)
    for name, about in parts.items():
        _check_size(folder / name, about)
    for name, about in parts.items():
        if name not in later:
            _check_digest(folder / name, about)


def check_part(path: Path) -> None:
    """Compare one part with the manifest beside it, if there is one that names it.

    Raises:
        CheckpointError: If it is missing or is not what was written.
    """
    about = _read(path.parent).get(path.name)
    if about is not None:
        _check_size(path, about)
        _check_digest(path, about)


def _measured(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return {"bytes": os.fstat(file.fileno()).st_size, "sha256": digest}


def _read(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The parts by name; none where there is no manifest."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = dict(content["parts"])
        known = content["format"] == FORMAT and all(
            Path(name).name == name and {"bytes", "sha256"} <= about.keys() for name, about in parts.items()
        )
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CheckpointError(f"cannot read '{path}': {error.strerror or error}") from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        known = False
    if not known:
        raise CheckpointError(f"'{path}' is damaged, or of another version of gnnseg; {_RESTORE}")
    return parts


def _check_size(path: Path, about: Mapping[str, Any]) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"cannot read '{path}': {error.strerror or error}; {_RESTORE}") from None
    if size != about["bytes"]:
        raise CheckpointError(
            f"'{path}' is damaged: it must have {about['bytes']} bytes (got {size}); {_RESTORE}"
        )


def _check_digest(path: Path, about: Mapping[str, Any]) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"cannot read '{path}': {error.strerror or error}") from None
    if digest != about["sha256"]:
        raise CheckpointError(f"'{path}' is damaged: its content is not what was written; {_RESTORE}")
