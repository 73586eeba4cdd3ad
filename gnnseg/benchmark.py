"""Models side by side under one protocol: same split, same users, paired tests."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gnnseg import environment
from gnnseg.config import (
    Config,
    DatasetConfig,
    find_config,
    load_config,
    load_dataset_config,
    shipped_configs,
)
from gnnseg.entries import Entry, comparisons, protocol
from gnnseg.errors import ConfigError, unknown
from gnnseg.files import configs_folder
from gnnseg.pipeline import run
from gnnseg.prepared import Prepared, prepare
from gnnseg.tracking import Tracker

log = logging.getLogger(__name__)

DEFAULT_FOLDER = "movielens"
"""Models of this folder are used for datasets that have no configs of their own."""

ORDER = (
    "popularity",
    "item-knn",
    "rp3beta",
    "gf-cf",
    "chebycf",
    "ease",
    "als",
    "plain-segments",
    "plain-segments-tuned",
    "mf",
    "lightgcn",
    "lightgcn-text",
    "graphsage-text",
    "spectral",
    "full",
)
"""Rows of the table; models not named here come before ``full``, by name."""

QUICK_EPOCHS = 10


def benchmark(
    dataset: str = "movielens",
    models: Sequence[str] | None = None,
    *,
    seeds: int = 3,
    seed: int = 0,
    quick: bool = False,
    device: str = "auto",
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Train and compare models on one dataset.

    Args:
        dataset: Shipped name, or path of a dataset's YAML file.
        models: Names in the dataset's folder of shipped configs, or paths of YAML files; None for all.
        seeds: How many seeds of training; the split stays.
        seed: The first of them.
        quick: One seed and few epochs, to see that everything works.
        device: Where to train.
        tracker: Shown the progress.

    Returns:
        Content of ``results.json``. The last model is compared with each of the others, user by user, on the
        mean over seeds.

    Raises:
        ConfigError: For no seed, an unknown dataset or model, or a config of another dataset.
        GnnsegError: For anything else that a user can mend.
    """
    started = time.perf_counter()
    tracker = tracker or Tracker()
    if seeds < 1:
        raise ConfigError(f"'seeds' must be positive (got {seeds})")
    data_config = load_dataset_config(dataset)
    configs = [
        load_config(path, ["seed=0"], dataset=data_config.model_dump(), device=device)
        for path in choose_models(data_config.name, models)
    ]
    data = prepare(data_config, environment.find_device(device), tracker)
    configs = _that_fit(configs, data, chosen=models is not None)
    chosen_seeds = range(seed, seed + (1 if quick else seeds))
    entries = [Entry(config) for config in configs]
    with tracker.task("benchmark", len(entries) * len(chosen_seeds)) as task:
        for entry in entries:
            for one in chosen_seeds:
                entry.add(run(_with_seed(entry.config, one, quick), prepared=data, tracker=tracker))
                task.advance()
    return _results(data_config, data, entries, time.perf_counter() - started)


def _that_fit(configs: Sequence[Config], data: Prepared, chosen: bool) -> list[Config]:
    """The models that the data suffice for, before any is trained.

    Raises:
        ConfigError: If two models have one name, or a model that was asked for needs text that is not there.
    """
    names = [config.name for config in configs]
    if len(set(names)) < len(names):
        raise ConfigError(f"models must have different names (got {', '.join(names)})")
    if data.dataset.texts is not None:
        return list(configs)
    need_text = [config.name for config in configs if config.text is not None]
    if need_text and chosen:
        raise ConfigError(f"'{data.dataset.name}' has no item texts, which {', '.join(need_text)} need(s)")
    if need_text:
        log.warning("'%s' has no item texts; left out: %s", data.dataset.name, ", ".join(need_text))
    return [config for config in configs if config.text is None]


def choose_models(dataset: str, models: Sequence[str] | None) -> list[Path]:
    """Config files of the models, in the order given, or of a whole folder in the order of the table.

    Raises:
        ConfigError: For an unknown model, with the nearest name.
    """
    folder = dataset if (configs_folder() / dataset).is_dir() else DEFAULT_FOLDER
    shipped = [name.split("/")[1] for name in shipped_configs() if name.startswith(f"{folder}/")]
    if models is None:
        middle = ORDER.index("full") - 0.5
        rank = {name: float(place) for place, name in enumerate(ORDER)}
        chosen = sorted(shipped, key=lambda name: (rank.get(name, middle), name))
        return [find_config(f"{folder}/{name}") for name in chosen]
    paths = []
    for name in models:
        if name in shipped:
            paths.append(find_config(f"{folder}/{name}"))
        elif name.endswith((".yaml", ".yml")) or "/" in name:
            paths.append(find_config(name))
        else:
            raise ConfigError(unknown("model", name, shipped) + " (or the path of a YAML file)")
    if not paths:
        raise ConfigError("'models' must name at least one")
    return paths


def _with_seed(config: Config, seed: int, quick: bool) -> Config:
    changes: dict[str, Any] = {"seed": seed}
    if quick:
        for stage in ("train", "fine_tune"):
            schedule = getattr(config, stage)
            changes[stage] = schedule.model_copy(update={"epochs": min(schedule.epochs, QUICK_EPOCHS)})
    return config.model_copy(update=changes)


def _results(
    config: DatasetConfig, data: Prepared, entries: Sequence[Entry], seconds: float
) -> dict[str, Any]:
    return {
        "format": 1,
        "command": "benchmark",
        **protocol(data),
        "models": [entry.as_json() for entry in entries],
        "comparisons": comparisons(entries, config.metrics),
        "environment": {**environment.describe(data.graph.device), "seconds": seconds},
    }
