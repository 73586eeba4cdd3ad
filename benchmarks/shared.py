"""What several benchmarks need: data from a folder, our models by name, and memory and time on any device."""

from __future__ import annotations

import atexit
import csv
import functools
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gnnseg import environment, files
from gnnseg.baselines import BASELINES
from gnnseg.benchmark import choose_models
from gnnseg.config import Config, DatasetConfig, load_config, load_dataset_config
from gnnseg.data import SOURCES
from gnnseg.graph import BipartiteGraph
from gnnseg.pipeline import Run, run
from gnnseg.prepared import Prepared, prepare
from gnnseg.scoring import Scorer


class Fitted(NamedTuple):
    """A model of ours, what it was fitted with and what that cost."""

    scorer: Scorer
    data: Prepared
    settings: dict[str, Any]
    seconds: float
    memory_before_mb: float


@functools.cache
def _movielens_1m_tables(folder: Path) -> dict[str, Any]:
    """A source for a folder that holds the ratings as a table and not as GroupLens packs them.

    Movies and users are written as tables beside each other into a folder that lasts as long as the process.
    """
    source = {
        "name": "Table",
        "interactions": "ratings.csv.gz",
        "user": "userID",
        "item": "movieID",
        "rating": "rating",
    }
    if not (folder / "users.dat").is_file():
        return source
    made = Path(tempfile.mkdtemp(prefix="gnnseg-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    columns = {
        "users": ["userID", "gender", "age", "occupation", "zip"],
        "movies": ["movieID", "title", "genres"],
    }
    for name, header in columns.items():
        lines = (folder / f"{name}.dat").read_text(encoding="latin-1").splitlines()
        with (made / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *(line.split("::") for line in lines)])
    return source | {
        "items": str(made / "movies.csv"),
        "text": ["title", "genres"],
        "tags": "genres",
        "users": str(made / "users.csv"),
    }


def dataset_config(name: str, folder: Path | None, *, whole: bool = False) -> DatasetConfig:
    """A shipped dataset, its files read from ``folder`` if one is given.

    Args:
        name: Shipped name, or path of a YAML file.
        folder: What the source's paths are relative to.
        whole: Carve no validation out of the train part of a split that its source gives.
    """
    config = load_dataset_config(name)
    changes: dict[str, Any] = {}
    if folder is not None:
        changes["folder"] = str(folder.absolute())
        if config.source.get("release") == "1m" and (folder / "ratings.csv.gz").is_file():
            changes["source"] = SOURCES.resolve(_movielens_1m_tables(folder.absolute()))
    if whole and is_given(config):
        changes["split"] = {**config.split, "valid": 0.0}
    return config.model_copy(update=changes)


def is_given(config: DatasetConfig) -> bool:
    """Whether the test part is the source's own, so that published figures were trained on all the rest."""
    return config.split["name"] == "Given"


def our_config(name: str, data: DatasetConfig, seed: int, device: str) -> Config:
    """A config by the name of a baseline, of a shipped config of the dataset, or the path of a YAML file."""
    changes = {"dataset": data.model_dump(), "seed": seed, "device": device}
    if name.isidentifier() and name[0].isupper():
        return load_config({"name": name, "baseline": BASELINES.resolve(name)}, **changes)
    return load_config(choose_models(data.name, [name])[0], **changes)


def fit_ours(name: str, data: DatasetConfig, whole: DatasetConfig, seed: int, device: str) -> Fitted:
    """Fit one of our models; of a given split on all of train, once validation has told the epochs.

    Args:
        name: See :func:`our_config`.
        data: With a validation part.
        whole: Without one where the split is given, else the same.
        seed: Of training.
        device: Where.
    """
    config = our_config(name, whole, seed, device)
    where = environment.find_device(device)
    if config.baseline is None and is_given(data) and config.train.epochs:
        carved = our_config(name, data, seed, device)
        config = config.model_copy(update=_chosen_epochs(run(carved, prepared=prepare(data, where))))
    prepared = prepare(whole, where)
    settings = {key: value for key, value in config.resolved().items() if key != "dataset"}
    before = reset_peak(where)
    if config.baseline is not None:  # not by run, which would rank as well
        started = now(where)
        scorer = BASELINES.create(config.baseline).fit(prepared.graph).to(where)
        settings = {key: settings[key] for key in ("name", "seed", "device", "baseline")}
        return Fitted(scorer, prepared, settings, now(where) - started, before)
    result = run(config, prepared=prepared)
    return Fitted(result.scorer, prepared, settings, result.seconds["fit"], before)


def _chosen_epochs(result: Run) -> dict[str, Any]:
    """Schedules that end where validation was best, and never look at validation."""
    config, metric = result.config, f"valid_{result.config.choose_by}"
    looks = [r for r in result.history if r["stage"] == 1 and metric in r]
    best = max(looks, key=lambda r: r[metric])["epoch"] if looks else config.train.epochs
    second = result.decision["epoch"] if result.decision else 0
    return {
        "train": config.train.model_copy(update={"epochs": best, "evaluate_every": best + 1}),
        "fine_tune": config.fine_tune.model_copy(update={"epochs": second}),
    }


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def now(device: torch.device) -> float:
    """Seconds on a clock, once the device is idle."""
    synchronize(device)
    return time.perf_counter()


def reset_peak(device: torch.device) -> float:
    """Start to measure peak memory; what is in use already, in MB."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        environment.reset_peak_memory()
    return peak(device)


def peak(device: torch.device) -> float:
    """Peak memory in MB: of the device's allocator on CUDA, else resident memory of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return environment.peak_memory_mb()


def step_bytes(graph: BipartiteGraph, dim: int, layers: int) -> dict[str, float]:
    """Bytes that the ``2 * layers`` products of a step move.

    Args:
        graph: With float32 values.
        dim: ``d``.
        layers: ``L``.

    Returns:
        ``least``: matrix, operands and result once a product. ``gathered``: a row of the operand for every
        entry of the matrix, as if no cache held any.
    """
    entries, rows = 2 * graph.num_edges, graph.num_nodes
    width = graph.adjacency.col_indices().element_size()
    matrix = entries * (4 + width) + rows * width
    table = rows * dim * 4
    return {
        "least": 2.0 * layers * (matrix + 3 * table),
        "gathered": 2.0 * layers * (matrix + 2 * table + entries * dim * 4),
    }


def output(results: dict[str, Any], path: Path | None) -> None:
    """Print as JSON, and perhaps write."""
    print(files.to_json(results))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(path, results)


def read_json(path: Path) -> Any:
    """A file of results."""
    return json.loads(path.read_text(encoding="utf-8"))
