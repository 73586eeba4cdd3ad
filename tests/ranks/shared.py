"""What several processes do in the tests: once for each number of them, as to start them takes long."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from gnnseg.config import load_config
from gnnseg.fitting import Fitted, fit_global, fit_scorer
from gnnseg.model import SegmentRecommender
from gnnseg.pipeline import Run, fit, run
from gnnseg.prepared import Prepared, item_features, prepare
from gnnseg.run_folder import partial_folder
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Tracker
from tests.ranks.worlds import World
from tests.runs import FULL, ITEMS, SCHEDULE, USERS, Interrupt, on_data, saved_run, workspace

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
    "segmenter": {"name": "KMeans", "num_segments": 3},
    "head": "FiLM",
    "fine_tune": {**TRAIN, "epochs": 4, "evaluate_every": 1, "patience": 9, "encoder_rate": 0.3},
    "name": "long",
}

KEPT, FROM_TWO = "kept-2", "long-2-3"
"""Copies of what two processes saved: to look at, and to go on with."""

WILD = {
    "encoder": {**MF, "init_scale": 1.0e15},
    "loss": "SquaredError",
    "train": {**TRAIN, "epochs": 1},
    "name": "wild",
}
"""Squares beyond float32."""


SEGMENTED: dict[str, dict[str, Any]] = {
    "film": {"loss": "BPR", "head": "FiLM"},
    "lora": {
        "loss": "SquaredErrorAllPairs",
        "head": {"name": "LoRA", "rank": 2, "on": "both"},
        "fine_tune": {**TRAIN, "encoder_rate": 0.3},
    },
    "leiden": {"segmenter": "Leiden", "head": "FiLM"},
    "experts": {"head": "Experts"},
}
"""Both stages: with a frozen and a trained encoder, with segments and with a head of process 0 alone."""

MEANS = {"users": 600, "dim": 5, "num_segments": 4, "sample": 90}
"""Points for k-means; far apart, so that nobody stands between two segments."""


def points() -> torch.Tensor:
    generator = torch.Generator().manual_seed(8)
    noise, places = torch.randn(MEANS["users"] + 4, MEANS["dim"], generator=generator).split([600, 4])
    return noise + 8 * places[torch.arange(600) % 4]


def segmented(name: str) -> dict[str, Any]:
    """The content of a config of both stages."""
    plain = {"encoder": LIGHTGCN, "segmenter": {"name": "KMeans", "num_segments": 3}, "fine_tune": TRAIN}
    return on_data({**plain, "train": TRAIN, **SEGMENTED[name]}, name=name)


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
    both = [
        {"kind": "both", "name": name, "config": segmented(name), "bounds": UNEVEN[size]}
        for name in (SEGMENTED if size == 3 else ["film"])
    ]
    means = {"kind": "means", "name": "means", "bounds": {2: [0, 250, 600], 3: [0, 250, 250, 600]}[size]}
    lists = {"kind": "lists", "name": "lists", "run": str(saved_run())}
    return [*trained, *even, product, *judged, *both, means, lists]


@functools.cache
def world(size: int) -> World:
    """All cases in so many processes, once; at the end a run that is interrupted, or a process that dies."""
    folder = workspace() / f"world-{size}"
    folder.mkdir()
    out = {"config": on_data(LONG), "out": str(workspace() / f"long-{size}")}
    if size == 2:
        found = World(folder, size, [*jobs(size), {"kind": "interrupt", "name": "last", "at": [2, 3], **out}])
        for copy in (workspace() / KEPT, partial_folder(workspace() / FROM_TWO)):  # as others go on with it
            shutil.copytree(partial_folder(Path(out["out"])), copy)
        return found
    with pytest.raises(KeyboardInterrupt):
        run(load_config(on_data(LONG)), out=Path(out["out"]), tracker=Interrupt(1, 4))
    world(2)
    from_two = {"config": on_data(LONG), "out": str(workspace() / FROM_TWO)}
    resumed = [{"kind": "resume", "name": "on", **each} for each in (out, from_two)]
    hang = {"kind": "hang", "name": "hang"}
    wild = {"kind": "diverge", "name": "wild", "config": on_data(WILD)}
    last = {"kind": "lose", "name": "last", "config": config("bpr")}
    return World(folder, size, [*jobs(size), *resumed, hang, wild, last], dies=True)


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
def both_alone(name: str) -> tuple[Fitted, list[dict[str, Any]]]:
    """Both stages in one process."""
    progress = Progress()
    return fit_scorer(load_config(segmented(name)), data(), progress, Tracker(), Clock()), progress.history


@functools.cache
def long() -> Run:
    return fit(on_data(LONG))
