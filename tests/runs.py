"""A small world with planted groups, and runs on it that tests share."""

from __future__ import annotations

import atexit
import errno
import functools
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from gnnseg.checkpoint import load_tensors, save_tensors
from gnnseg.pipeline import Run, fit
from gnnseg.tracking import Task, Tracker

USERS, ITEMS, GROUPS, EACH = 60, 80, 4, 12
"""Each user has ``EACH`` items, most of them of the user's own group."""

WORDS = ("space robot alien", "love wedding kiss", "crime detective gun", "dragon wizard sword")

DATA: dict[str, Any] = {
    "source": {
        "name": "Table",
        "interactions": "ratings.csv",
        "user": "who",
        "item": "what",
        "rating": "stars",
        "items": "items.csv",
        "item_id": "id",
        "text": ["title"],
    },
    "split": {"name": "Random", "valid": 0.15, "test": 0.15},
    "metrics": ["recall@10", "ndcg@10"],
}

SCHEDULE = {"batch_size": 256, "learning_rate": 0.02, "num_negatives": 2, "evaluate_every": 2}

PLAIN: dict[str, Any] = {
    "encoder": {"name": "LightGCN", "dim": 8, "num_layers": 2},
    "train": {"epochs": 6, **SCHEDULE},
}

FULL: dict[str, Any] = {
    **PLAIN,
    "text": {"name": "TfidfEncoder", "num_features": 6},
    "segmenter": {"name": "Consensus", "views": ["Leiden", "KMeans"], "num_segments": 3},
    "head": {"name": "FiLM"},
    "fine_tune": {"epochs": 6, **SCHEDULE},
}


PLAIN_SEGMENTS: dict[str, Any] = {
    "text": {"name": "TfidfEncoder", "num_features": 6},
    "encoder": {"name": "TextMean", "dim": 4},
    "loss": {"name": "SquaredError"},
    "train": {"epochs": 0},
    "segmenter": {"name": "ScoreKMeans", "num_segments": 3, "temperature": 1e-6},
    "head": {"name": "GroupMLP", "hidden": 8, "add_global": False},
    "fine_tune": {"epochs": 4, **SCHEDULE},
}
"""The plain pipeline of articles, small."""

LOCAL: dict[str, Any] = {
    **PLAIN,
    "train": {"epochs": 0},
    "segmenter": {"name": "KMeans", "num_segments": 3},
    "local": {"name": "LocalItems", "model": {"name": "EASE", "regularization": 5.0}},
}
"""An encoder that has learned nothing, so that any local model helps."""

SEARCHED: dict[str, Any] = {
    **PLAIN,
    "search": {
        "train.learning_rate": {"low": 1.0e-3, "high": 0.1, "log": True},
        "train.weight_decay": {"low": 0.001, "high": 0.1, "log": True},
        "encoder.num_layers": [1, 2, 3],
        "encoder.dim": {"low": 4, "high": 17, "step": 4},
    },
}
"""A config to search; its own weight decay, 0, lies outside the range."""


def pairs(seed: int = 0) -> list[tuple[int, int]]:
    """Users and items by number."""
    rng = np.random.default_rng(seed)
    group = np.arange(ITEMS) % GROUPS
    chances = [np.where(group == user % GROUPS, 8.0, 1.0) for user in range(USERS)]
    chosen = [rng.choice(ITEMS, EACH, replace=False, p=c / c.sum()) for c in chances]
    return [(user, int(item)) for user, items in enumerate(chosen) for item in items]


def write_yaml(path: Path, content: Mapping[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False), encoding="utf-8")
    return path


def write_data(
    folder: Path,
    rows: Iterable[tuple[object, ...]] | None = None,
    header: str = "who,what,stars",
    **changes: Any,
) -> Path:
    """Tables and the YAML file of a dataset; users are called 1000, 1001, ..., items i00, i01, ..."""
    if rows is None:
        rows = [(1000 + user, f"i{item:02}", 4) for user, item in pairs()]
    lines = [header, *(",".join(str(cell) for cell in row) for row in rows)]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    titles = [f"i{item:02},{WORDS[item % GROUPS]} {item // GROUPS}" for item in range(ITEMS)]
    (folder / "items.csv").write_text("\n".join(["id,title", *titles]) + "\n", encoding="utf-8")
    return write_yaml(folder / "small.yaml", {**DATA, **changes})


@functools.cache
def workspace() -> Path:
    """A folder that lives as long as the tests do."""
    folder = Path(tempfile.mkdtemp(prefix="gnnseg-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def dataset() -> str:
    """The dataset's YAML file."""
    return str(write_data(workspace()))


def on_data(content: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """The content of a config on the small world, on the CPU."""
    return {"dataset": dataset(), "device": "cpu", **content, **changes}


RESTLESS: dict[str, Any] = on_data(
    FULL,
    name="restless",
    encoder={"name": "GraphSAGE", "dim": 8, "dropout": 0.2},
    head={"name": "FiLM", "dropout": 0.2},
    train={**SCHEDULE, "epochs": 8, "weight_decay": 0.01},
    fine_tune={**SCHEDULE, "epochs": 5, "encoder_rate": 0.3},
)
"""Everything that a resumed run must carry on: dropout's generator, optimizer state, two rates, the best."""


def outcome(result: Run) -> dict[str, Any]:
    """All that two equal runs share, clocks left out."""
    return {
        "metrics": result.metrics,
        "segments": result.segments,
        "history": untimed(result.history),
        "decision": result.decision,
        "parameters": result.parameters,
    }


def assert_same(first: Run, second: Run) -> None:
    assert outcome(first) == outcome(second)
    assert torch.equal(scores(first), scores(second))
    assert first.model is not None
    assert second.model is not None
    assert same_state(first.model, second.model)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@functools.cache
def trained() -> Run:
    """The full system, saved in :func:`saved_run`."""
    return fit(on_data(FULL, name="full"), out=workspace() / "full")


@functools.cache
def saved_run() -> Path:
    """The folder of the full system; not to be changed."""
    trained()
    return workspace() / "full"


@functools.cache
def local_run() -> Run:
    """A segmenter and a local model without a head, saved in :func:`local_folder`.

    The encoder's vectors follow from histories alone, so that somebody new can be told from a known user.
    """
    return fit(on_data(LOCAL, name="local", encoder={"name": "SpectralFilter", "dim": 1}), out=local_folder())


def local_folder() -> Path:
    """The folder of :func:`local_run`; not to be changed."""
    return workspace() / "local"


@functools.cache
def saved_baseline(name: str = "ItemKNN") -> Path:
    """The folder of a run without embeddings; not to be changed."""
    fit(on_data({"baseline": name}, name=name), out=workspace() / name)
    return workspace() / name


def scores(run: Run) -> torch.Tensor:
    """Of all users and items."""
    return run.scorer.score(torch.arange(run.data.dataset.num_users))


def same_state(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    """Whether two modules hold the same tensors, bit for bit."""
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def untimed(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Epoch reports without what a clock says."""
    return [{k: v for k, v in record.items() if k not in ("seconds", "rate")} for record in history]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def unsealed(run: Path, to: Path) -> Path:
    """A copy of a run whose parts a test may change."""
    return Path(shutil.copytree(run, to, ignore=shutil.ignore_patterns("manifest.json")))


@functools.cache
def tagged_run() -> Path:
    """The folder of an item kNN whose items have genres, two each; not to be changed."""
    folder = workspace() / "tags"
    folder.mkdir()
    config = write_data(folder, source={**DATA["source"], "tags": "genre"})
    rows = [f"i{item:02},a film,g{item % GROUPS}|h{item % 3}" for item in range(ITEMS)]
    (folder / "items.csv").write_text("\n".join(["id,title,genre", *rows]) + "\n")
    fit(on_data({"baseline": "ItemKNN"}, name="tags", dataset=str(config)), out=folder / "run")
    return folder / "run"


def older_factors(folder: Path) -> Path:
    """A run of ALS as versions before kept it: without the rule by which users follow from items."""
    run = unsealed(saved_baseline("ImplicitALS"), folder / "older")
    tables = load_tensors(run / "embeddings.safetensors")
    del tables["scorer.rule"]
    save_tensors(run / "embeddings.safetensors", tables)
    header = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({**header, "scorer": "DotProduct"}))
    return run


class Interrupt(Tracker):
    """Presses Ctrl-C when an epoch is reported; keeps the epochs before it."""

    def __init__(self, stage: int, epoch: int) -> None:
        self.at = (stage, epoch)
        self.seen: list[tuple[int, int]] = []

    def log(self, record: Mapping[str, Any]) -> None:
        if (record["stage"], record["epoch"]) == self.at:
            raise KeyboardInterrupt
        self.seen.append((record["stage"], record["epoch"]))


class InterruptTrial(Tracker):
    """Presses Ctrl-C at the third epoch of the ``number``-th training."""

    def __init__(self, number: int) -> None:
        self.left = number

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Task]:
        self.left -= name == "training"
        yield _Interrupting() if self.left == 0 and name == "training" else Task()


class _Interrupting(Task):
    def __init__(self) -> None:
        self.epochs = 0

    def advance(self, count: int = 1, **fields: float) -> None:
        self.epochs += count
        if self.epochs == 3:
            raise KeyboardInterrupt


class _Full:
    """A file on a disk without space."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Full:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def fill_disk(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From now on the disk is full whenever a file whose name contains ``name`` is written to."""
    true_open = io.open

    def full_open(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        opened = true_open(file, mode, *args, **kwargs)
        writes = set(mode) & set("wax+")
        named = not isinstance(file, int) and name in Path(os.fsdecode(file)).name
        return _Full(opened) if writes and named else opened

    monkeypatch.setattr("io.open", full_open)
    monkeypatch.setattr("builtins.open", full_open)
