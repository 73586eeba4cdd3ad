"""From a dataset's config to data that a model can be trained on."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.baselines import BASELINES
from gnnseg.checkpoint import SavedRun
from gnnseg.config import Config, DatasetConfig
from gnnseg.data import SOURCES, SPLITS, Dataset, Parts, UserData
from gnnseg.data.splits import ColdItems, ColdUsers
from gnnseg.errors import CheckpointError, ConfigError, DataError
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import Scorer
from gnnseg.text import TEXT_ENCODERS
from gnnseg.tracking import Clock, Tracker, follow


@dataclass(frozen=True)
class Prepared:
    """A dataset ready to train on.

    Attributes:
        config: Where it came from.
        dataset: Filtered.
        parts: Train, valid and test.
        graph: Of the training interactions, on the run's device.
        train: Training interactions, ``[U, I]``.
        seen: Training and validation interactions, ``[U, I]``.
        features: Text features computed so far, by encoder spec: tensor, seconds and description.
        terms: Baselines fitted so far as terms, by spec: scorer and seconds.
    """

    config: DatasetConfig
    dataset: Dataset
    parts: Parts
    graph: BipartiteGraph
    train: sp.csr_matrix
    seen: sp.csr_matrix
    features: dict[str, tuple[Tensor, float, dict[str, Any]]] = field(default_factory=dict)
    terms: dict[str, tuple[Scorer, float]] = field(default_factory=dict)

    @property
    def popularity(self) -> np.ndarray:
        """Training interactions of each item, ``[I]``."""
        return np.bincount(self.parts.train.items, minlength=self.dataset.num_items)

    @property
    def users(self) -> UserData:
        """What is known of the users, test and validation left out."""
        return UserData.of(self.dataset, self.parts.train)

    def describe(self) -> dict[str, Any]:
        """Name, digest and sizes."""
        dataset, parts = self.dataset, self.parts
        return {
            "name": dataset.name,
            "digest": dataset.digest,
            "users": dataset.num_users,
            "items": dataset.num_items,
            "train": len(parts.train),
            "valid": len(parts.valid),
            "test": len(parts.test),
        }


def load_dataset(config: DatasetConfig, tracker: Tracker | None = None) -> Dataset:
    """Read and filter a dataset, downloading it first where it has to be."""
    source = SOURCES.create(config.source, Path(config.folder))
    with (tracker or Tracker()).task(f"reading {config.name}", 1) as task:
        source.progress = follow(task)
        return config.filters.apply(source.load(config.name))


def prepare(config: DatasetConfig, device: torch.device, tracker: Tracker | None = None) -> Prepared:
    """Read, filter and split a dataset, and build the graph of its training part.

    Raises:
        DataError: If there is too little of it.
        ConfigError: For a split that keeps whole users or items out of training.
    """
    if SPLITS.find(config.split["name"]) in (ColdItems, ColdUsers):
        raise ConfigError(
            f"split {config.split['name']} is for Python and benchmarks/cold.py so far: a run's metrics "
            "would mix cold and warm; use Random or Temporal"
        )
    dataset = load_dataset(config, tracker)
    if min(dataset.num_users, dataset.num_items) < 2:
        raise DataError(
            f"'{dataset.name}' has {dataset.num_users} user(s) and {dataset.num_items} item(s); "
            "at least two of each are needed"
        )
    parts = SPLITS.create(config.split).split(dataset)
    shape = (dataset.num_users, dataset.num_items)
    train = parts.train.matrix(*shape)
    seen = (parts.train + parts.valid).matrix(*shape)
    return Prepared(config, dataset, parts, BipartiteGraph(train, device), train, seen)


def prepare_again(saved: SavedRun, device: torch.device, tracker: Tracker | None = None) -> Prepared:
    """The data that a saved run was trained on, read anew.

    Raises:
        CheckpointError: If they are others now.
    """
    data = prepare(saved.config.dataset, device, tracker)
    ids = [(data.dataset.users, saved.users), (data.dataset.items, saved.items)]
    if any(now.ids != then.ids for now, then in ids) or (data.seen != saved.seen).nnz:
        raise CheckpointError(
            f"the data of '{saved.folder}' have changed since it was trained; train it again"
        )
    return data


def item_term(config: Config, data: Prepared, clock: Clock) -> Scorer:
    """The config's ``term``, fitted on the training graph once for each spec; its time always counts."""
    key = json.dumps(config.term, sort_keys=True)
    if key not in data.terms:
        started = time.perf_counter()
        term = BASELINES.create(config.term or {}).fit(data.graph).to(data.graph.device)
        data.terms[key] = term, time.perf_counter() - started
    term, seconds = data.terms[key]
    clock.seconds["fit"] += seconds
    return term


def item_features(
    config: Config, data: Prepared, tracker: Tracker, clock: Clock
) -> tuple[Tensor | None, dict[str, Any] | None]:
    """Text features of the items, ``[I, f]``, and how they were made; computed once for each encoder.

    Raises:
        ConfigError: If the config wants text and the dataset has none.
    """
    if config.text is None:
        return None, None
    texts = data.dataset.texts
    if texts is None:
        raise ConfigError(
            f"'text' is configured, but dataset '{data.dataset.name}' has no item texts; remove it"
        )
    key = json.dumps(config.text, sort_keys=True)
    if key not in data.features:
        encoder = TEXT_ENCODERS.create(config.text)
        encoder.device = data.graph.device
        started = time.perf_counter()
        with tracker.task("text", len(texts)) as task:
            features = encoder.encode(texts, task.advance)
        data.features[key] = (features, time.perf_counter() - started, encoder.describe())
    features, seconds, description = data.features[key]
    clock.seconds["text"] += seconds
    return features, description
