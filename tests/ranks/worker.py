"""One of several processes of a test: ``python -m tests.ranks.worker FOLDER RANK SIZE``.

It does the jobs in ``FOLDER/jobs.json`` one after another, and writes what came of each.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from gnnseg import ranking, together
from gnnseg.checkpoint import save_tensors
from gnnseg.config import load_config
from gnnseg.distributed import dismiss, follow, lead
from gnnseg.errors import TrainingError
from gnnseg.evaluation import evaluate
from gnnseg.files import write_json
from gnnseg.fitting import fit_global
from gnnseg.pipeline import run
from gnnseg.prepared import item_features, prepare
from gnnseg.ranks import RankGraph, Ranks
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Tracker
from tests.graphs import random_graph
from tests.ranks.judged import METRICS, scorer_of
from tests.runs import Interrupt


def propagate(job: dict[str, Any], ranks: Ranks) -> dict[str, torch.Tensor]:
    """Both passes on this process's part of a random graph."""
    whole, bounds = random_graph(*job["size"]), job["bounds"]
    matrix = whole.biadjacency()
    first, last = bounds[ranks.rank], bounds[ranks.rank + 1]
    degrees = whole.unstack(whole.degrees).items.long().numpy()
    graph = RankGraph(matrix[first:last], degrees, ranks, int(matrix.indptr[first]), matrix.nnz)
    rows = torch.cat([torch.arange(first, last), torch.arange(whole.num_users, whole.num_nodes)])
    generator = torch.Generator().manual_seed(3)
    x, upstream = torch.randn(2, whole.num_nodes, 3, generator=generator)
    mine = x[rows].clone().requires_grad_()
    result = graph.propagate(mine, job["weights"])
    share = upstream[rows].clone()
    share[last - first :] /= ranks.size  # what each knows of the items' gradient adds up to it
    result.backward(share)
    assert mine.grad is not None
    grad = mine.grad.clone()
    ranks.sum_(grad[last - first :], "gradients")
    return {"rows": rows, "result": result.detach(), "grad": grad}


def train(job: dict[str, Any], ranks: Ranks, folder: Path) -> dict[str, torch.Tensor]:
    """Stage 1; process 0 writes its reports, all give their tables."""
    if ranks.rank:
        own = follow(ranks)
        return {} if own is None else dict(own.state_dict())
    config = load_config(job["config"])
    data, progress = prepare(config.dataset, torch.device("cpu")), Progress()
    features, _ = item_features(config, data, Tracker(), Clock())
    start = load_config({**job["config"], "train": {**job["config"]["train"], "epochs": 0}})
    model = fit_global(start, data, features, Progress(), Tracker(), Clock())
    progress.ranks = ranks
    lead(config, data, model, progress, Tracker(), job.get("bounds"))
    dismiss(ranks)
    write_json(folder / f"{job['name']}.json", progress.history)
    return dict(model.state_dict())


def whole_run(job: dict[str, Any], ranks: Ranks) -> None:
    """A run with its folder, interrupted or going on with one that was."""
    if ranks.rank:
        follow(ranks)
        return
    out, resume = Path(job["out"]), Path(job["out"]) if job["kind"] == "resume" else None
    tracker = Interrupt(1, job["epoch"]) if job["kind"] == "interrupt" else None
    run(load_config(job["config"]), out=out, resume=resume, tracker=tracker, ranks=ranks)


def judge(job: dict[str, Any], ranks: Ranks) -> dict[str, torch.Tensor]:
    """Validation, ranked together; process 0 gives what it measured, all give what they sent."""
    before = ranks.sent
    if ranks.rank:
        follow(ranks)
        return {"sent": torch.tensor(ranks.sent - before)}
    ranking.BLOCK_SCORES = together.BLOCK_SCORES = job["block"]
    data = prepare(load_config(job["config"]).dataset, torch.device("cpu"))
    found = evaluate(scorer_of(job["scorer"], data), data.parts.test, data.seen, METRICS, ranks=ranks)
    dismiss(ranks)
    assert found.items is not None
    values = {name: torch.from_numpy(np.asarray(x, dtype=np.float64)) for name, x in found.per_user.items()}
    return {"sent": torch.tensor(ranks.sent - before), "items": torch.from_numpy(found.items), **values}


def do(job: dict[str, Any], ranks: Ranks, folder: Path) -> None:
    before = dict(ranks.moved)
    if job["kind"] == "lose" and ranks.rank == ranks.size - 1:
        os._exit(9)
    if job["kind"] == "propagate":
        tensors = propagate(job, ranks)
    elif job["kind"] == "judge":
        tensors = judge(job, ranks)
    elif job["kind"] in ("train", "lose", "diverge"):
        tensors = train(job, ranks, folder)
    else:
        tensors = {}
        whole_run(job, ranks)
    name = f"{job['name']}.{ranks.rank}"
    save_tensors(folder / f"{name}.safetensors", tensors)
    moved = {key: count - before.get(key, 0) for key, count in ranks.moved.items()}
    write_json(folder / f"{name}.moved.json", moved)


def main() -> None:
    folder, rank, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", store, timedelta(seconds=100), rank=rank, world_size=size)
    ranks = Ranks()
    for job in json.loads((folder / "jobs.json").read_text(encoding="utf-8")):
        try:
            do(job, ranks, folder)
        except TrainingError as error:
            (folder / f"{job['name']}.{rank}.error").write_text(str(error), encoding="utf-8")
            if job["kind"] != "diverge":  # all stop at the same place, and can go on
                return
        except KeyboardInterrupt:
            return
    ranks.close()


if __name__ == "__main__":
    main()
