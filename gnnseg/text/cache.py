"""Text vectors on disk, so that a second run does not compute them again.

One safetensors file a set of texts, in ``text/`` under the project's home. The cache is a convenience:
a file that is damaged or a folder that cannot be written is logged and never stops a run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gnnseg import files
from gnnseg.errors import GnnsegError

logger = logging.getLogger(__name__)

FORMAT = 1
"""Part of every key; raised when the same settings and texts come to give other vectors."""


def key(settings: Mapping[str, Any], texts: Sequence[str]) -> str:
    """The name of the vectors of ``texts`` under ``settings``.

    Args:
        settings: All that the vectors depend on besides the texts; anything JSON can hold.
        texts: In order. Each is hashed behind its length, so that ``["ab"]`` and ``["a", "b"]`` differ.

    Returns:
        64 hexadecimal digits.
    """
    header = json.dumps({"format": FORMAT, **settings}, sort_keys=True).encode()
    digest = hashlib.sha256(_framed(header))
    for text in texts:
        digest.update(_framed(text.encode("utf-8")))
    return digest.hexdigest()


def path(name: str) -> Path:
    """Where the vectors called ``name`` are kept."""
    return files.home() / "text" / f"{name}.safetensors"


def read(name: str, num_texts: int) -> Tensor | None:
    """The vectors called ``name``: ``[num_texts, f]`` float32, or None if they have to be computed."""
    file = path(name)
    try:
        tensors = load(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, SafetensorError) as error:
        logger.warning("cannot read the text cache '%s' (%s); computing the vectors again", file, error)
        return None
    vectors, checksum = tensors.get("vectors"), tensors.get("checksum")
    if vectors is None or checksum is None or not _sound(vectors, checksum, num_texts):
        logger.warning("the text cache '%s' is damaged; computing the vectors again", file)
        return None
    return vectors


def write(name: str, vectors: Tensor) -> None:
    """Keep ``vectors`` ``[n, f]`` float32 under ``name``."""
    file = path(name)
    content = save({"vectors": vectors.contiguous(), "checksum": torch.tensor([_checksum(vectors)])})
    try:
        with files.writing(file) as temporary:
            temporary.write_bytes(content)
    except GnnsegError as error:
        logger.warning("the text vectors are not cached: %s", error)


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(8, "little") + content


def _sound(vectors: Tensor, checksum: Tensor, num_texts: int) -> bool:
    if vectors.dim() != 2 or len(vectors) != num_texts or vectors.dtype != torch.float32:
        return False
    return checksum.numel() == 1 and int(checksum.item()) == _checksum(vectors)


def _checksum(vectors: Tensor) -> int:
    return zlib.crc32(vectors.contiguous().numpy().data)
