"""A run for other systems: vectors with ids, an index of them, and the scoring path in ONNX."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from gnnseg.checkpoint import SavedRun, read_json, save_tensors
from gnnseg.errors import CheckpointError, ConfigError
from gnnseg.files import write_json
from gnnseg.onnx_graph import write_onnx
from gnnseg.ranking import top_k
from gnnseg.run_folder import unfinished
from gnnseg.scoring import DotProduct, Vectors, as_vectors

MAX_USERS = 1000
"""Users that recall is measured on, at most."""


def run_digest(folder: Path) -> str:
    """``sha256:...`` over what a run recommends by: its tables and ids, wherever the folder lies.

    Raises:
        CheckpointError: If one of its files cannot be read.
    """
    sha = hashlib.sha256()
    for name in ("embeddings.safetensors", "users.json", "items.json"):
        try:
            content = (folder / name).read_bytes()
        except OSError as error:
            raise CheckpointError(f"cannot read '{folder / name}': {error.strerror}") from None
        sha.update(len(content).to_bytes(8, "little"))
        sha.update(content)
    return f"sha256:{sha.hexdigest()}"


def export(
    run: SavedRun, to: Path, *, index: bool = False, onnx: bool = False, k: int = 10
) -> dict[str, Any]:
    """Write a run's vectors, and if wanted an index and a model in ONNX, into a new folder.

    ``users.parquet`` and ``items.parquet`` have an ``id`` and a ``vector`` a row, ``embeddings.safetensors``
    the same tables ``users [U, e]`` and ``items [I, e]``; scores are their dot products, apart from parts
    that ``export.json`` names in ``left_out``: matrices of items by items are no short vectors.

    Args:
        run: Loaded.
        to: Must not exist yet; nothing appears under this name before it is whole.
        index: Write ``items.usearch``, an index by inner product.
        onnx: Write ``scorer.onnx``, checked by onnxruntime.
        k: Length of the lists that recall is measured on.

    Returns:
        Content of ``export.json``.

    Raises:
        ConfigError: If the run has no vectors, or a part that ONNX does not take, or an extra is missing.
        CheckpointError: If ``to`` exists or cannot be written.
    """
    vectors = as_vectors(run.scorer, len(run.users))
    if vectors is None:
        raise ConfigError(
            f"{type(run.scorer).__name__} of '{run.folder}' has no vectors to export: it scores by a matrix "
            "of items by items; train an encoder"
        )
    if not 1 <= k <= len(run.items):
        raise ConfigError(f"'k' must be between 1 and the number of items {len(run.items)} (got {k})")
    with unfinished(to) as folder:
        save_tensors(folder / "embeddings.safetensors", {"users": vectors.users, "items": vectors.items})
        _table(folder / "users.parquet", run.users.ids, vectors.users)
        _table(folder / "items.parquet", run.items.ids, vectors.items)
        about: dict[str, Any] = {
            "format": 1,
            "digest": run_digest(run.folder),
            "users": len(run.users),
            "items": len(run.items),
            "dim": vectors.items.shape[1],
            "exact": not vectors.left_out,
            "left_out": list(vectors.left_out),
            "recall": {"k": k, **_recall(run, vectors, None, k)},
        }
        if index:
            made = ItemIndex.build(vectors.items, about["digest"])
            made.save(folder)
            about["index"] = _recall(run, vectors, made, k)
        if onnx:
            about["onnx"] = write_onnx(run.scorer, run.train, folder / "scorer.onnx")
        write_json(folder / "export.json", about)
    return about


class ItemIndex:
    """Approximately the items of the largest dot product, by usearch (HNSW, arXiv 1603.09320).

    Args:
        index: Of usearch, its keys the rows of items.
        digest: Of the run that the vectors are of.
    """

    def __init__(self, index: Any, digest: str) -> None:
        self.index = index
        self.digest = digest

    @classmethod
    def build(cls, items: Tensor, digest: str) -> ItemIndex:
        """Index vectors ``[I, e]``."""
        index = _usearch().Index(ndim=items.shape[1], metric="ip", dtype="f32", expansion_search=256)
        index.add(np.arange(len(items), dtype=np.uint64), items.float().numpy())
        return cls(index, digest)

    def save(self, folder: Path) -> None:
        """Write ``items.usearch`` and ``index.json``."""
        path = folder / "items.usearch"
        self.index.save(str(path))
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        write_json(folder / "index.json", {"format": 1, "digest": self.digest, "sha256": content})

    @classmethod
    def load(cls, folder: Path, run: SavedRun) -> ItemIndex:
        """Read the index of a run.

        Raises:
            CheckpointError: If it is damaged, or belongs to another run.
        """
        about, path = read_json(folder / "index.json"), folder / "items.usearch"
        try:
            whole = hashlib.sha256(path.read_bytes()).hexdigest() == about["sha256"]
        except (OSError, KeyError, TypeError):
            whole = False
        if not whole:
            raise CheckpointError(f"'{path}' is missing or damaged; export the run again")
        if about.get("digest") != run_digest(run.folder):
            raise CheckpointError(
                f"'{path}' is the index of another run than '{run.folder}'; export this one"
            )
        return cls(_usearch().Index.restore(str(path)), about["digest"])

    def search(self, users: Tensor, k: int) -> np.ndarray:
        """Rows of the best items for vectors of users ``[B, e]``, ``[B, k]``."""
        keys = self.index.search(users.float().numpy(), k).keys
        return np.asarray(keys).astype(np.int64).reshape(len(users), -1)


def _usearch() -> Any:
    try:
        return import_module("usearch.index")
    except ImportError:
        raise ConfigError("an index needs usearch; pip install 'gnnseg[export]'") from None


def _recall(run: SavedRun, vectors: Vectors, index: ItemIndex | None, k: int) -> dict[str, Any]:
    """Shares of the best ``k`` that the vectors, or an index of them, find; nothing seen is left out."""
    rows = np.unique(np.linspace(0, len(run.users) - 1, min(MAX_USERS, len(run.users))).astype(np.int64))
    system = top_k(run.scorer, rows, k)[0]
    exact = top_k(DotProduct(vectors.users, vectors.items), rows, k)[0]
    if index is None:
        return {"of_full_system": _shared(exact, system), "users": len(rows)}
    found = index.search(vectors.users[torch.from_numpy(rows)], k)
    return {"recall_of_exact": _shared(found, exact), "recall_of_full_system": _shared(found, system)}


def _shared(found: np.ndarray, wanted: np.ndarray) -> float:
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found, wanted, strict=True)]
    return float(np.mean(hits) / wanted.shape[1])


def _table(path: Path, ids: tuple[str, ...], vectors: Tensor) -> None:
    table = vectors.float().contiguous().numpy()
    array = pl.Series("vector", table, dtype=pl.Array(pl.Float32, table.shape[1]))
    pl.DataFrame({"id": pl.Series(ids, dtype=pl.String), "vector": array}).write_parquet(path)
