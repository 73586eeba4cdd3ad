"""Whether a given test part is like validation drawn at random: both against train; prints JSON.

    python benchmarks/shift.py --dataset gowalla --data FOLDER --out benchmarks/results/gowalla/shift.json

Says nothing of any model. A part that is drawn at random from the same interactions has the same values as
any other: the popularity of its items, their likeness to the rest of the user's history and to one another,
and a share of each item's interactions that varies no more than drawing makes it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from shared import dataset_config, output

from gnnseg.data import Interactions
from gnnseg.environment import describe
from gnnseg.prepared import prepare
from gnnseg.spectral import normalised, right_singular

VECTORS = 128
"""Singular vectors of train that items are compared by."""

FREQUENT = 30
"""Interactions in train and the part from which an item's share is looked at."""


def described(part: Interactions, train: sp.csr_matrix, directions: np.ndarray) -> dict[str, float]:
    """What a part holds.

    Args:
        part: Held out of the same users and items as ``train``.
        train: ``[U, I]``.
        directions: Of the items, rows of length one, ``[I, d]``.

    Returns:
        ``log_degree``, the mean log of one more than the users of an item in train; ``history_cosine``, of a
        held-out item and an item of the history, and ``own_cosine``, of two held-out items, means over users;
        ``overdispersion``, the intraclass correlation of being held out among an item's interactions, 0 where
        interactions are drawn at random.
    """
    degrees = np.bincount(train.indices, minlength=train.shape[1])
    held = sp.csr_matrix(part.matrix(*train.shape))
    sums, own = train @ directions, held @ directions
    known, count = np.diff(train.indptr), np.diff(held.indptr)
    some, several = (count > 0) & (known > 0), count > 1
    history = (own[some] * sums[some]).sum(1) / (count[some] * known[some])
    pairs = ((own[several] ** 2).sum(1) - count[several]) / (count[several] * (count[several] - 1))
    return {
        "interactions": len(part),
        "log_degree": float(np.log1p(degrees[part.items]).mean()),
        "history_cosine": float(history.mean()),
        "own_cosine": float(pairs.mean()),
        "overdispersion": _overdispersion(np.bincount(part.items, minlength=len(degrees)), degrees),
    }


def _overdispersion(held: np.ndarray, kept: np.ndarray) -> float:
    """Variance of an item's held-out share beyond the binomial one, over ``p (1 - p)``; NaN without any."""
    total, share = held + kept, held.sum() / (held.sum() + kept.sum())
    often = total >= FREQUENT
    if not often.any():
        return float("nan")
    found = (held[often] / total[often] - share) ** 2 - share * (1 - share) / total[often]
    return float(found.mean() / (share * (1 - share)))


def main() -> None:
    """Read the options and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="gowalla", help="shipped name or path of a YAML file")
    parser.add_argument("--data", type=Path, help="folder with the files of the dataset")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    cpu = torch.device("cpu")
    data = prepare(dataset_config(options.dataset, options.data), cpu)
    vectors = right_singular(normalised(data.train), VECTORS)[1]
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    parts = {"validation": data.parts.valid, "test": data.parts.test}
    found: dict[str, Any] = {
        "dataset": data.dataset.name,
        "parts": {name: described(part, data.train, directions) for name, part in parts.items()},
        "environment": describe(cpu),
    }
    output(found, options.out)


if __name__ == "__main__":
    main()
