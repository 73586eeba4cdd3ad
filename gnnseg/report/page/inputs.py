"""What a page is made of: a saved run, the files beside it, and its data, if they can still be read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gnnseg.checkpoint import SavedRun, graph_of, load_run, read_json
from gnnseg.disclosure import MIN_USERS
from gnnseg.errors import GnnsegError
from gnnseg.graph import BipartiteGraph
from gnnseg.prepared import UPDATE, Prepared, prepare
from gnnseg.scoring import strongest
from gnnseg.tracking import Tracker

MAX_NAME = 200
"""Characters of a title that are shown; longer ones are cut, so that no title makes the page large."""


@dataclass(frozen=True)
class Inputs:
    """A run and what else is known of it.

    Attributes:
        saved: The run.
        data: Its data with times, tags and held-out interactions; None where they cannot be read again.
        why_not: Why there are no data; empty where there are.
        metrics: Content of ``metrics.json``.
        segments: Content of ``segments.json``; empty without segments.
        history: Epoch reports.
        environment: Content of ``environment.json``.
        fairness: Content of ``fairness.json``; empty for runs of older versions.
    """

    saved: SavedRun
    data: Prepared | None
    why_not: str
    metrics: dict[str, Any]
    segments: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    fairness: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def graph(self) -> BipartiteGraph:
        """The training graph."""
        return graph_of(self.saved)

    @cached_property
    def labels(self) -> np.ndarray:
        """Strongest segment of each user, -1 for none, ``[U]``."""
        if self.saved.memberships is None:
            return np.full(len(self.saved.users), -1)
        return strongest(self.saved.memberships.numpy())

    @cached_property
    def hidden(self) -> np.ndarray:
        """Which users must not be shown: those of groups below 10, ``[U]`` bool."""
        if self.saved.memberships is None:
            return np.zeros(len(self.labels), dtype=bool)
        sizes = np.bincount(self.labels + 1, minlength=self.labels.max(initial=-1) + 2)
        small: np.ndarray = (sizes < MIN_USERS)[self.labels + 1]
        return small

    @cached_property
    def item_names(self) -> list[str]:
        """What to call each item: title, else text, else outside id; at most 200 characters."""
        names = self.saved.texts or self.saved.items.ids
        if self.data is not None:
            names = self.data.dataset.item_names
        ids = self.saved.items.ids
        return [shortened(" ".join(name.split()) or own) for name, own in zip(names, ids, strict=True)]


def shortened(text: str, length: int = MAX_NAME) -> str:
    """A text of at most ``length`` characters."""
    return text if len(text) <= length else f"{text[: length - 1].rstrip()}…"


def read_inputs(folder: str | Path, tracker: Tracker | None = None) -> Inputs:
    """Read a run and, if they are still what it was trained on, its data.

    Raises:
        CheckpointError: If there is no finished run.
    """
    saved = load_run(folder)
    data, why_not = _data(saved, tracker)
    lines = _optional(saved.folder / "history.jsonl")
    return Inputs(
        saved=saved,
        data=data,
        why_not=why_not,
        metrics=read_json(saved.folder / "metrics.json"),
        segments=_json(saved.folder / "segments.json") if saved.memberships is not None else {},
        history=[json.loads(line) for line in lines.splitlines() if line.strip()],
        environment=_json(saved.folder / "environment.json"),
        fairness=_json(saved.folder / "fairness.json"),
    )


def _data(saved: SavedRun, tracker: Tracker | None) -> tuple[Prepared | None, str]:
    if (saved.folder / UPDATE).is_file():
        return None, "The run is an update, and no config names the data that were folded into it"
    try:
        data = prepare(saved.config.dataset, torch.device("cpu"), tracker)
    except GnnsegError as error:
        return None, f"The data could not be read again ({error})"
    same = data.dataset.users.ids == saved.users.ids and data.dataset.items.ids == saved.items.ids
    if not same or (data.seen != saved.seen).nnz:
        return None, "The data have changed since the run was trained"
    return data, ""


def _optional(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(path) if path.is_file() else {}
    return found
