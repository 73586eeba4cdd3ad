"""What several processes do in the tests: once for each number of them, as to start them takes long."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import torch

from gnnseg.config import load_config
from gnnseg.fitting import fit_global
from gnnseg.model import SegmentRecommender
from gnnseg.pipeline import Run, fit, run
from gnnseg.prepared import Prepared, item_features, prepare
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Tracker
from tests.ranks.worlds import World
from tests.runs import FULL, ITEMS, SCHEDULE, USERS, Interrupt, on_data, workspace

TRAIN = {**SCHEDULE, "batch_size": 150, "epochs": 3}
LAYERS, DIM = 2, 8
LIGHTGCN = {"name": "LightGCN", "dim": DIM, "num_layers": LAYERS}
MF = {"name": "MatrixFactorization", "dim": DIM}
TEXT = {"text": FULL["text"], "encoder": {**LIGHTGCN, "features_as": "both"}}
UNEVEN = {2: [0, 53, USERS], 3: [0, 41, 41, USERS]}
"""First users of the processes; the second of three has none."""

CASES: dict[str, dict[str, Any]] = {
    "bpr": {"encoder": LIGHTGCN, "loss": "BPR"},
    "bpr-mf": {"encoder": MF, "loss": "BPR"},
    "softmax": {"encoder": LIGHTGCN, "loss": "SampledSoftmax", "regularizers": ["EmbeddingL2"]},
    "all-pairs": {"encoder": LIGHTGCN, "loss": "SquaredErrorAllPairs"},
    "all-pairs-mf": {"encoder": MF, "loss": "SquaredErrorAllPairs"},
    "full-softmax": {"encoder": LIGHTGCN, "loss": {"name": "FullSoftmax", "own_items": False}},
    "text": {**TEXT, "loss": "BPR"},
}
TWO = ("bpr", "bpr-mf", "softmax", "text")
"""Cases of two processes; three do them all."""
EVEN = ("bpr", "all-pairs-mf")
BLOCK_USERS = 7
"""Ranked at once."""

WEIGHTS = [0.4, 0.0, 0.3, 0.2]
SIZE = (13, 9, 5)
LONG: dict[str, Any] = {
    "encoder": LIGHTGCN,
    "train": {**TRAIN, "epochs": 6, "evaluate_every": 1, "patience": 9},
    "name": "long",
}

WILD = {
    "encoder": {**MF, "init_scale": 1.0e15},
    "loss": "SquaredError",
    "train": {**TRAIN, "epochs": 1},
    "name": "wild",
}
"""Squares beyond float32."""


def config(name: str) -> dict[str, Any]:
    return on_data({**CASES[name], "train": TRAIN}, name=name)


def jobs(size: int) -> list[dict[str, Any]]:
    names = TWO if size == 2 else tuple(CASES)
    trained = [
        {"kind": "train", "name": name, "config": config(name), "bounds": UNEVEN[size]} for name in names
    ]
    even = [{"kind": "train", "name": f"{name}-even", "config": config(name)} for name in EVEN[size - 2 :]]
    parts = {2: [0, 4, 13], 3: [0, 0, 4, 13]}[size]
    product = {"kind": "propagate", "name": "product", "size": SIZE, "bounds": parts, "weights": WEIGHTS}
    judged = [
        {"kind": "judge", "name": f"{kind}-{users}", "scorer": kind, "block": users * ITEMS}
        for kind, users in [("product", BLOCK_USERS), ("mixture", BLOCK_USERS), ("product", 999)][:size]
    ]
    judged = [{**job, "config": config("bpr")} for job in judged]
    return [*trained, *even, product, *judged]


@functools.cache
def world(size: int) -> World:
    """All cases in so many processes, once; at the end a run that is interrupted, or a process that dies."""
    folder = workspace() / f"world-{size}"
    folder.mkdir()
    out = {"config": on_data(LONG), "out": str(workspace() / f"long-{size}")}
    if size == 2:
        return World(folder, size, [*jobs(size), {"kind": "interrupt", "name": "last", "epoch": 4, **out}])
    with pytest.raises(KeyboardInterrupt):
        run(load_config(on_data(LONG)), out=Path(out["out"]), tracker=Interrupt(1, 4))
    wild = {"kind": "diverge", "name": "wild", "config": on_data(WILD)}
    last = {"kind": "lose", "name": "last", "config": config("bpr")}
    return World(folder, size, [*jobs(size), {"kind": "resume", "name": "on", **out}, wild, last], dies=True)


@functools.cache
def data() -> Prepared:
    return prepare(load_config(config("bpr")).dataset, torch.device("cpu"))


@functools.cache
def alone(name: str) -> tuple[SegmentRecommender, list[dict[str, Any]]]:
    """Stage 1 in one process: the model and its reports."""
    experiment, progress = load_config(config(name)), Progress()
    features, _ = item_features(experiment, data(), Tracker(), Clock())
    return fit_global(experiment, data(), features, progress, Tracker(), Clock()), progress.history


@functools.cache
def long() -> Run:
    return fit(on_data(LONG))
