"""What training needs to go on after a stop: one file of safetensors that says whether it is as written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from gnnseg.config import Config
from gnnseg.environment import version
from gnnseg.errors import CheckpointError, differences
from gnnseg.files import sync_folder, to_json, writing
from gnnseg.ranks import Part
from gnnseg.run_folder import RESUME_FILE, SHARDS
from gnnseg.tensors import packed, shapes

FORMAT = 2
"""1 was two files, which a kill between them left useless."""

_SEALED = b'"sha256":"'  # what stands in the header of a safetensors file before the digest of the file
_NO_DIGEST = "0" * 64  # what stands for it while it is computed


def save_resume(
    folder: Path, config: Config, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """Write what training needs to go on: one file, so that it is the old state or the new one.

    Shards of an older state go once it is written.
    """
    about = {"format": FORMAT, "gnnseg": version(), "config": config.resolved(), **state}
    data = packed(tensors, {"sha256": _NO_DIGEST, "state": to_json(about, indent=None)})
    at = data.index(_SEALED + _NO_DIGEST.encode()) + len(_SEALED)
    digest = hashlib.sha256(data).hexdigest().encode()
    with writing(folder / RESUME_FILE, durable=True) as temporary, temporary.open("wb") as file:
        for piece in (memoryview(data)[:at], digest, memoryview(data)[at + len(digest) :]):
            file.write(piece)
    sync_folder(folder)
    kept = {shard["file"] for shard in state.get("shards", ())}
    for path in folder.glob(SHARDS):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def save_together(
    part: Part, config: Config, tensors: Mapping[str, Tensor], state: Mapping[str, Any]
) -> None:
    """As :func:`save_resume`, by all processes: each writes the rows of its users, and process 0 the rest.

    The file of process 0 names the others and comes last, so that it is the old state or the new one. They
    load at any number of processes.

    Args:
        part: Of a run with a folder.
        config: Of the run.
        tensors: With the rows of this process.
        state: With ``stage`` and ``epoch``, which no two saves have in common.

    Raises:
        TrainingError: If another process stopped.
    """
    assert part.folder is not None
    ranks, own = part.ranks, {name: x for name, x in tensors.items() if part.owns(name)}
    names = [f"resume-{state['stage']}-{state['epoch']}.{rank}.safetensors" for rank in range(ranks.size)]
    data = packed(own)
    with writing(part.folder / names[ranks.rank], durable=True) as temporary:
        temporary.write_bytes(data)
    digest = torch.frombuffer(bytearray(hashlib.sha256(data).digest()), dtype=torch.uint8)
    digests = ranks.pile(digest.unsqueeze(0), [1] * ranks.size)
    if digests is not None:
        written = zip(names, digests.tolist(), strict=True)
        shards = [{"file": name, "sha256": bytes(found).hex()} for name, found in written]
        rest = {name: x for name, x in tensors.items() if name not in own}
        save_resume(part.folder, config, rest, {**state, "shards": shards})


def load_resume(folder: Path, config: Config) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_resume` or :func:`save_together` wrote, its tables whole.

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
        return load(data) | _joined(folder, state.get("shards", ())), state
    except (KeyError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        raise CheckpointError(f"cannot read '{path}': {error}") from None


def _joined(folder: Path, shards: Sequence[Mapping[str, str]]) -> dict[str, Tensor]:
    """Tables of all users from the rows that each process wrote.

    Raises:
        CheckpointError: If a shard is missing or damaged.
    """
    found: dict[str, list[Tensor]] = {}
    for shard in shards:
        path = folder / Path(shard["file"]).name  # beside it, whatever it claims
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read '{path}': {error.strerror or error}") from None
        if hashlib.sha256(data).hexdigest() != shard["sha256"]:
            raise CheckpointError(
                f"'{path}' is damaged: its content is not what was written; remove '{folder}' and train again"
            )
        for name, rows in load(data).items():
            found.setdefault(name, []).append(rows)
    return {name: torch.cat(rows) for name, rows in found.items()}


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
