"""Where users and items lie on the map, and how arrays travel inside the page."""

from __future__ import annotations

import base64
import warnings
from typing import Literal

import numpy as np
import torch

from gnnseg.errors import ConfigError
from gnnseg.graph import Embeddings
from gnnseg.report.page.inputs import Inputs
from gnnseg.scoring import DotProduct, Gated, Mixture, Scorer
from gnnseg.spectral import normalised, right_singular

Method = Literal["pca", "umap"]

SPECTRAL_DIM = 32
"""Singular vectors of the graph that place the users of a run without vectors."""

STEPS = 65535


def vectors(inputs: Inputs) -> tuple[Embeddings, str]:
    """Vectors of users ``[U, d]`` and items ``[I, d]``, and where they come from."""
    table = _table(inputs.saved.scorer)
    if table is not None:
        return Embeddings(table.users.float(), table.items.float()), "the model's vectors"
    matrix = normalised(inputs.saved.train)
    values, right = right_singular(matrix, SPECTRAL_DIM)
    pair = (matrix @ right, right * values)
    users, items = (torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32)) for part in pair)
    return Embeddings(users, items), "singular vectors of the graph, as this model has none of its own"


def _table(scorer: object) -> DotProduct | None:
    if isinstance(scorer, Gated):
        return _table(scorer.whole)
    if isinstance(scorer, Mixture):
        found = (_table(part) for part in scorer.scorers if isinstance(part, Scorer))
        return next((part for part in found if part is not None), None)
    return scorer if isinstance(scorer, DotProduct) else None


def place(embeddings: Embeddings, method: Method = "pca") -> np.ndarray:
    """Points of the directions of users, then items, ``[U+I, 2]`` in 0 to 1, equal scales on both axes.

    Both sides are centred, lest the first axis only tell users from items. The farthest 0.2 % at each end are
    moved to the edge.

    Raises:
        ConfigError: For ``umap`` without umap-learn.
    """
    parts = [part.numpy().astype(np.float64) for part in embeddings]
    directions = [part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in parts]
    stacked = np.concatenate([each - each.mean(0) for each in directions])
    points = _umap(stacked) if method == "umap" else _pca(stacked)
    low, high = np.quantile(points, [0.002, 0.998], axis=0)
    centre, size = (low + high) / 2, max(float((high - low).max()), 1e-12)
    return np.asarray(np.clip((points - centre) / size + 0.5, 0.0, 1.0))


def _pca(table: np.ndarray) -> np.ndarray:
    """The two directions of the largest variance (Pearson 1901), signs fixed, ``[n, 2]``."""
    centred = table - table.mean(0)
    _, right = np.linalg.eigh(centred.T @ centred)
    axes = right[:, ::-1][:, :2]
    axes = axes * np.where(axes.sum(0) < 0, -1.0, 1.0)
    found = centred @ axes
    return np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def _umap(table: np.ndarray) -> np.ndarray:
    """UMAP (McInnes et al., arXiv 1802.03426), ``[n, 2]``."""
    try:
        from umap import UMAP
    except ImportError:
        raise ConfigError("a map by UMAP needs umap-learn; install the extra 'report'") from None
    neighbours = max(2, min(15, len(table) - 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        placed = UMAP(n_neighbors=neighbours, random_state=0).fit_transform(table.astype(np.float32))
    return np.asarray(placed, dtype=np.float64)


def packed(values: np.ndarray, kind: Literal["u1", "<u2"] = "u1") -> str:
    """An array ``[m]`` of small whole numbers as base64, which JavaScript's typed arrays read."""
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")


def packed_points(points: np.ndarray) -> str:
    """Points ``[n, 2]`` in 0 to 1 as 16-bit numbers, x and y in turn."""
    return packed(np.rint(points * STEPS), "<u2")
