"""From a dataset's config to data that a model can be trained on."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
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
from gnnseg.data import SOURCES, SPLITS, Dataset, Interactions, Parts, UserData
from gnnseg.data.splits import ColdItems, ColdUsers
from gnnseg.errors import CheckpointError, ConfigError, DataError
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import Scorer
from gnnseg.text import TEXT_ENCODERS
from gnnseg.tracking import Clock, Tracker, follow

HISTORIES = (0, 1, 3, 5, 10)
"""Lengths of history that new users are looked at with."""

UPDATE = "update.json"
"""In the folder of an updated run: what was added, left out and changed."""


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
    def keeps_items_apart(self) -> bool:
        """Whether the split keeps whole items out of training."""
        return issubclass(SPLITS.find(self.config.split["name"]), ColdItems)

    @property
    def choosing(self) -> Interactions:
        """What models are chosen on: validation, without the users and items that are kept apart."""
        valid = self.of_known_users(self.parts.valid)
        return valid[self.popularity[valid.items] > 0] if self.keeps_items_apart else valid

    def of_known_users(self, part: Interactions) -> Interactions:
        """The pairs of users with training interactions: all of them, unless the split keeps users apart."""
        return part if self.parts.given is None else part[self.lengths[part.users] > 0]

    @property
    def history_lengths(self) -> tuple[int, ...]:
        """Lengths of history that new users are looked at with: those of the split, if it names any."""
        split = SPLITS.create(self.config.split)
        return split.histories if isinstance(split, ColdUsers) else HISTORIES

    @property
    def lengths(self) -> np.ndarray:
        """Training interactions of each user, ``[U]``."""
        return np.diff(self.train.indptr)

    def user_rows(self, columns: Sequence[str]) -> list[dict[str, Any]]:
        """What the users' table says of each user in some columns; nothing where a value is not known."""
        table = self.users.columns
        rows = (
            zip(*(table[column].tolist() for column in columns), strict=True)
            if columns
            else [()] * self.train.shape[0]
        )
        known = [zip(columns, row, strict=True) for row in rows]
        return [{name: value for name, value in row if value is not None and value == value} for row in known]

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
        dataset = source.load(config.name)
        if source.distinct and config.filters.drops_repeats_only:
            return dataset  # which spares the memory that looking for repeated pairs takes
        return config.filters.apply(dataset)


def prepare(config: DatasetConfig, device: torch.device, tracker: Tracker | None = None) -> Prepared:
    """Read, filter and split a dataset, and build the graph of its training part.

    Raises:
        DataError: If there is too little of it.
    """
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
        CheckpointError: If they are others now, or the run is an update, whose data no config names.
    """
    if (saved.folder / UPDATE).is_file():
        raise CheckpointError(
            f"'{saved.folder}' is an update, and no config names the data that were folded into it; its "
            "figures are in metrics.json"
        )
    data = prepare(saved.config.dataset, device, tracker)
    ids = [(data.dataset.users, saved.users), (data.dataset.items, saved.items)]
    if any(now.ids != then.ids for now, then in ids) or (data.seen != saved.seen).nnz:
        raise CheckpointError(
            f"the data of '{saved.folder}' have changed since it was trained; train it again"
        )
    return data


def item_terms(config: Config, data: Prepared, clock: Clock) -> list[Scorer]:
    """What the config adds, each fitted on the training graph once for each spec; its time always counts."""
    return [_item_term(spec, data, clock) for spec in config.terms]


def _item_term(spec: dict[str, Any], data: Prepared, clock: Clock) -> Scorer:
    key = json.dumps(spec, sort_keys=True)
    if key not in data.terms:
        started = time.perf_counter()
        term = BASELINES.create(spec).fit(data.graph).to(data.graph.device)
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
