"""Models of other libraries against ours: same data, same split, same metrics; prints JSON.

    python benchmarks/peers.py --dataset movielens-1m --data FOLDER --ours ease,chebycf \
        --out benchmarks/results/movielens-1m/peers.json

Settings of peers are chosen on validation, their defaults among them (``peer_models.py``); LightGCN of others
runs at its authors' settings for ``--epochs`` or ``--seconds``, whichever is over first. Then everything is
fitted in turn, seed by seed, each in a process of its own, so that peak memory is its own. Where a source
gives the split, the final fit is on all of its train part. Test is read by the final fits only.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from peer_models import LEFT_OUT, PEERS, Job
from published_figures import published
from shared import dataset_config, fit_ours, output, peak, reset_peak

from gnnseg.data.interactions import Interactions
from gnnseg.entries import comparisons
from gnnseg.environment import describe
from gnnseg.evaluation import Evaluation, evaluate
from gnnseg.files import to_json
from gnnseg.prepared import prepare
from gnnseg.seeding import numpy_rng
from gnnseg.statistics import mean_interval

CHOOSE_USERS = 10_000
"""Settings are chosen on the validation items of at most so many users, drawn at random."""

CPU = torch.device("cpu")


def child(job: dict[str, Any], folder: Path) -> None:
    """Do one job in this process and leave its results in the folder."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    folders = (job["dataset"], None if job["data"] is None else Path(job["data"]))
    kind = {"choose": _choose, "peer": _fit_peer, "ours": _fit_ours}[job["kind"]]
    result, found = kind(job, folders)
    if found is not None:
        np.savez(folder / "users.npz", **found.per_user)
        result["metrics"] = found.means
    (folder / "result.json").write_text(to_json(result), encoding="utf-8")


def _choose(job: dict[str, Any], folders: tuple[str, Path | None]) -> tuple[dict[str, Any], None]:
    """Validation figures of each setting of a peer."""
    config = dataset_config(*folders)
    data = prepare(config, CPU)
    metric = next(name for name in config.metrics if name.startswith("ndcg"))
    held_out = _some_users(data.parts.valid)
    tried = []
    for settings in job["settings"]:
        scorer, _ = PEERS[job["name"]].fit(Job(data.train, job["seed"], job["threads"]), **settings)
        found = evaluate(scorer, held_out, data.train, [metric])
        tried.append({"settings": settings, f"valid_{metric}": found.means[metric]})
    return {"tried": tried, "metric": metric}, None


def _fit_peer(job: dict[str, Any], folders: tuple[str, Path | None]) -> tuple[dict[str, Any], Evaluation]:
    data = prepare(dataset_config(*folders, whole=True), CPU)
    task = Job(data.train, job["seed"], job["threads"], job["epochs"], job["budget"])
    for module in PEERS[job["name"]].modules:
        importlib.import_module(module)  # so that its import counts neither as time nor as memory of the fit
    before = reset_peak(CPU)
    started = time.perf_counter()
    scorer, notes = PEERS[job["name"]].fit(task, **job["settings"])
    seconds = {"fit": time.perf_counter() - started}
    started = time.perf_counter()
    found = evaluate(scorer, data.parts.test, data.seen, data.config.metrics)
    seconds["evaluate"] = time.perf_counter() - started
    memory = {"peak_memory_mb": peak(CPU), "memory_before_mb": before}
    return {"seconds": seconds, "settings": job["settings"], "notes": notes, **memory}, found


def _fit_ours(job: dict[str, Any], folders: tuple[str, Path | None]) -> tuple[dict[str, Any], Evaluation]:
    config, whole = dataset_config(*folders), dataset_config(*folders, whole=True)
    fitted = fit_ours(job["name"], config, whole, job["seed"], "cpu")
    data = fitted.data
    started = time.perf_counter()
    found = evaluate(fitted.scorer, data.parts.test, data.seen, config.metrics)
    seconds = {"fit": fitted.seconds, "evaluate": time.perf_counter() - started}
    memory = {"peak_memory_mb": peak(CPU), "memory_before_mb": fitted.memory_before_mb}
    return {"seconds": seconds, "settings": fitted.settings, "notes": {}, **memory}, found


def _some_users(held_out: Interactions) -> Interactions:
    users = np.unique(held_out.users)
    if len(users) <= CHOOSE_USERS:
        return held_out
    return held_out[
        np.isin(held_out.users, numpy_rng(0, "choose").choice(users, CHOOSE_USERS, replace=False))
    ]


class FailedError(Exception):
    """A job gave no result; the last line of what it said."""


def start(job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Run a job in a process of its own."""
    threads = str(job["threads"])
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--child", json.dumps(job), "--out", folder]
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            lines = [line for line in done.stderr.strip().splitlines() if line] or [f"exit {done.returncode}"]
            raise FailedError(lines[-1][:300])
        result = json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))
        users = Path(folder) / "users.npz"
        return result, dict(np.load(users)) if users.exists() else {}


class Entry:
    """One model with a run for each seed.

    Args:
        name: As tables show it.
        job: What its process is given.
        about: Library, settings tried.
    """

    def __init__(self, name: str, job: dict[str, Any], about: dict[str, Any]) -> None:
        self.config = SimpleNamespace(name=name)
        self.job, self.about = job, about
        self.runs: list[dict[str, Any]] = []
        self.users: list[dict[str, np.ndarray]] = []

    def run(self, seed: int) -> None:
        """Fit with one seed."""
        result, users = start({**self.job, "seed": seed})
        self.about["settings"] = result.pop("settings")
        self.runs.append({"seed": seed, **result})
        self.users.append(users)

    def mean_over_seeds(self, metric: str) -> np.ndarray:
        """Each user's mean, ``[n]``."""
        return np.mean([users[metric] for users in self.users], axis=0)

    def as_json(self) -> dict[str, Any]:
        """An entry of ``models``."""
        metrics = {}
        for metric in self.users[0]:
            found = mean_interval(self.mean_over_seeds(metric), numpy_rng(0, "bootstrap"))
            metrics[metric] = {"mean": found.mean, "low": found.low, "high": found.high}
        return {"name": self.config.name, **self.about, "metrics": metrics, "runs": self.runs}


def entries(options: argparse.Namespace, left_out: dict[str, str]) -> list[Entry]:
    """Peers that are installed, with the settings that validation prefers, then ours."""
    common = {key: getattr(options, key) for key in ("dataset", "threads", "epochs")}
    common |= {"data": None if options.data is None else str(options.data.absolute())}
    common |= {"budget": options.seconds, "seed": 0}
    found = []
    for name in options.peers:
        peer = PEERS[name]
        if missing := [m for m in peer.modules if importlib.util.find_spec(m) is None]:
            left_out[name] = f"{missing[0]} is not installed"
            continue
        job = {**common, "kind": "peer", "name": name}
        about = {"library": f"{peer.library} {metadata.version(peer.library)}", "ours": False}
        settings = peer.settings()[: options.tries]
        try:
            tried = [{"settings": settings[0]}]
            if len(settings) > 1:
                result, _ = start({**job, "kind": "choose", "settings": settings})
                tried = sorted(result["tried"], key=lambda t: -t[f"valid_{result['metric']}"])
                about["tried_on_validation"] = tried
            found.append(Entry(name, {**job, "settings": tried[0]["settings"]}, about))
        except FailedError as failed:
            left_out[name] = str(failed)
    about = {"library": "gnnseg", "ours": True}
    for name in filter(None, options.ours.split(",")):
        found += [Entry(name, {**common, "kind": "ours", "name": name}, dict(about))]
    return found


def main() -> None:
    """Choose, then measure in turn."""
    options = _arguments()
    if options.child:
        child(json.loads(options.child), options.out)
        return
    torch.set_num_threads(options.threads)
    left_out = dict(LEFT_OUT)
    models = entries(options, left_out)
    for seed in range(options.seeds):
        for entry in list(models):
            try:
                entry.run(seed)
            except FailedError as failed:
                left_out[entry.config.name] = str(failed)
                models.remove(entry)
            print(f"seed {seed}: {entry.config.name}", file=sys.stderr, flush=True)
    config = dataset_config(options.dataset, options.data, whole=True)
    results = {
        "format": 1,
        "command": "peers",
        "dataset": prepare(config, CPU).describe(),
        "protocol": {
            "split": config.split,
            "filters": config.filters.model_dump(),
            "metrics": list(config.metrics),
            "chosen_on": "valid",
            "seen_masked": ["train", "valid"],
            "budget_seconds": options.seconds,
        },
        "models": [entry.as_json() for entry in models],
        "comparisons": comparisons(models, config.metrics) if models else [],
        "published": published(config.name),
        "left_out": left_out,
        "environment": describe(CPU),
    }
    output(results, options.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="movielens", help="shipped name or path of a YAML file")
    parser.add_argument("--data", type=Path, help="folder with the files of the dataset")
    parser.add_argument("--peers", default=",".join(PEERS), help="names separated by commas; '' for none")
    parser.add_argument("--ours", default="popularity,item-knn,ease,chebycf", help="configs or baselines")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tries", type=int, default=100, help="at most so many settings of a peer")
    parser.add_argument("--epochs", type=int, help="of LightGCN of others; the authors' by default")
    parser.add_argument("--seconds", type=float, default=300.0, help="after which LightGCN of others stops")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.peers = [name for name in options.peers.split(",") if name]
    if unknown := sorted(set(options.peers) - set(PEERS)):
        parser.error(f"unknown peers: {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return options


if __name__ == "__main__":
    main()
