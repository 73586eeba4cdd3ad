"""Tensors as the bytes of a safetensors file, and what its header says before any of them is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import save
from torch import Tensor

from gnnseg.errors import CheckpointError

LONGEST_HEADER = 64 << 20
"""Most bytes of a header; a resume file keeps the history of a run in it."""

MOST_TENSORS = 10_000
MOST_DIMENSIONS = 8

# fmt: off
_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}
# fmt: on


class Shape(NamedTuple):
    """What a header says of a tensor.

    Attributes:
        sizes: Its shape.
        num_bytes: What it takes.
    """

    sizes: tuple[int, ...]
    num_bytes: int


def packed(tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a file with ``tensors``, from any device, and texts ``about`` them in its header."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(plain, metadata=None if about is None else dict(about))


def shapes(path: Path) -> dict[str, Shape]:
    """What a safetensors file holds, by its header alone: nothing that it claims takes memory.

    Raises:
        CheckpointError: If the file cannot be read, or its header is too long, none, or of another file.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(LONGEST_HEADER, size - 8):
                raise _unfit(path, f"its header says {length} bytes, the file has {size}")
            header = json.loads(file.read(length))
    except OSError as error:
        raise CheckpointError(f"cannot read '{path}': {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise _unfit(path, "its header is no JSON") from None
    if not isinstance(header, dict) or len(header) > MOST_TENSORS:
        raise _unfit(path, f"its header must name at most {MOST_TENSORS} tensors")
    header.pop("__metadata__", None)
    found = {name: _shape(path, name, entry) for name, entry in header.items()}
    if sum(shape.num_bytes for shape in found.values()) != size - 8 - length:
        raise _unfit(path, "its tensors are larger or smaller than the file")
    return found


def _shape(path: Path, name: str, entry: Any) -> Shape:
    """One entry of a header.

    Raises:
        CheckpointError: If it describes no tensor.
    """
    try:
        sizes, (start, end) = tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(size) is int and size >= 0 for size in (*sizes, start, end))
        num_bytes = math.prod(sizes) * _BYTES[entry["dtype"]] if len(sizes) <= MOST_DIMENSIONS else -1
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole or end - start != num_bytes:
        raise _unfit(path, f"its header describes no tensor '{name[:80]}'")
    return Shape(sizes, num_bytes)


def _unfit(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"'{path}' is damaged: {reason}; restore it from a copy")


def check_histories(tables: Mapping[str, Tensor], sizes: tuple[int, int]) -> None:
    """Refuse rows of compressed sparse matrices that lead out of them, which products would follow unchecked.

    Args:
        tables: Those named ``...indptr`` ``[n+1]`` and ``...indices`` ``[m]`` belong together.
        sizes: Users and items; the rows of a matrix named ``transposed_...`` are items.

    Raises:
        ValueError: With the name of what does.
    """
    for name in (name for name in tables if name.endswith("indptr")):
        pointers, columns = tables[name], tables.get(f"{name.removesuffix('indptr')}indices")
        if columns is None or pointers.dim() != 1 or columns.dim() != 1 or not len(pointers):
            raise ValueError(f"'{name}' needs indices")
        if pointers.is_floating_point() or columns.is_floating_point():
            raise ValueError(f"'{name}' and its indices must be whole numbers")
        ends = pointers[0] == 0 and pointers[-1] == len(columns)
        if not ends or bool((pointers.diff() < 0).any()):
            raise ValueError(f"'{name}' must rise from 0 to {len(columns)}")
        most = sizes[0] if "transposed_" in name else sizes[1]
        if len(columns) and not 0 <= int(columns.min()) <= int(columns.max()) < most:
            raise ValueError(f"indices beside '{name}' must be from 0 to {most - 1}")
