"""What training needs to go on after a stop: one file of safetensors that says whether it is as written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from gnnseg.config import Config
from gnnseg.environment import version
from gnnseg.errors import CheckpointError, differences
from gnnseg.files import sync_folder, to_json, writing
from gnnseg.run_folder import RESUME_FILE
from gnnseg.tensors import packed, shapes

FORMAT = 2
"""1 was two files, which a kill between them left useless."""

_SEALED = b'"sha256":"'  # what stands in the header of a safetensors file before the digest of the file
_NO_DIGEST = "0" * 64  # what stands for it while it is computed


def save_resume(
    folder: Path, config: Config, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Write what training needs to go on: one file, so that it is the old state or the new one."""
    about = {"format": FORMAT, "gnnseg": version(), "config": config.resolved(), **state}
    data = packed(tensors, {"sha256": _NO_DIGEST, "state": to_json(about, indent=None)})
    at = data.index(_SEALED + _NO_DIGEST.encode()) + len(_SEALED)
    digest = hashlib.sha256(data).hexdigest().encode()
    with writing(folder / RESUME_FILE, durable=True) as temporary, temporary.open("wb") as file:
        for piece in (memoryview(data)[:at], digest, memoryview(data)[at + len(digest) :]):
            file.write(piece)
    sync_folder(folder)


def load_resume(folder: Path, config: Config) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_resume` wrote.

    Args:
        folder: Of the interrupted run.
        config: What is to go on; only the device may be another.

    Raises:
        CheckpointError: If there is nothing to resume, it is damaged, or another config or version of gnnseg
            wrote it.
    """
    path = folder / RESUME_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(
            f"'{folder}' holds no training to resume; an interrupted run says where it is"
        ) from None
    except OSError as error:
        raise CheckpointError(f"cannot read '{path}': {error.strerror or error}") from None
    state = _sealed_state(path, data)
    if state.get("format") != FORMAT:
        raise CheckpointError(f"'{folder}' has format {state.get('format')}; this version reads {FORMAT}")
    _refuse_another(folder, config, state)
    shapes(path)
    try:
        return load(data), state
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"cannot read '{path}': {error}") from None


def _sealed_state(path: Path, data: bytes) -> dict[str, Any]:
    """The description inside a file of :func:`save_resume`; any bit that is not as written is refused.

    Raises:
        CheckpointError: If it is damaged.
    """
    at = data.find(_SEALED) + len(_SEALED)
    end = at + len(_NO_DIGEST)
    digest = hashlib.sha256(memoryview(data)[:at])
    digest.update(_NO_DIGEST.encode())
    digest.update(memoryview(data)[end:])
    if data[at:end] != digest.hexdigest().encode():
        raise CheckpointError(
            f"'{path}' is damaged, or of another version of gnnseg: its content is not what was written; "
            f"remove '{path.parent}' and train again"
        )
    length = int.from_bytes(data[:8], "little")
    try:
        state = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["state"])
    except (KeyError, RecursionError, TypeError, ValueError):
        state = None
    if not isinstance(state, dict) or not isinstance(state.get("config", {}), dict):
        raise CheckpointError(f"'{path}' describes no training; remove '{path.parent}' and train again")
    return state


def _refuse_another(folder: Path, config: Config, state: Mapping[str, Any]) -> None:
    """Raise a CheckpointError if training in ``folder`` would go on differently from how it began."""
    then, now = str(state.get("gnnseg")), version()
    if then.split(".")[:2] != now.split(".")[:2]:
        raise CheckpointError(
            f"'{folder}' was begun by gnnseg {then}, this is {now}; go on with {then}, or train it again"
        )
    own = {"device": config.device}
    found = differences({**state.get("config", {}), **own}, {**config.resolved(), **own})
    if found:
        raise CheckpointError(f"'{folder}' was begun with another config: {found}; train it again")
