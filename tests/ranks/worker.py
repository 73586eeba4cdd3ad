"""One of several processes of a test: ``python -m tests.ranks.worker FOLDER RANK SIZE``.

It does the jobs in ``FOLDER/jobs.json`` one after another, and writes what came of each.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
import torch.distributed as dist

from gnnseg import distributed, ranking
from gnnseg.checkpoint import save_tensors
from gnnseg.config import load_config
from gnnseg.distributed import dismiss, follow, lead
from gnnseg.errors import TrainingError
from gnnseg.evaluation import evaluate
from gnnseg.files import write_json
from gnnseg.fitting import fit_global, fit_scorer
from gnnseg.lists import SUFFIXES, write_lists
from gnnseg.pipeline import run
from gnnseg.prepared import item_features, prepare
from gnnseg.ranks import RankGraph, Ranks
from gnnseg.recommend import Recommender
from gnnseg.rules import Rules
from gnnseg.segments.shared_means import lloyd, sampled
from gnnseg.stages import Progress
from gnnseg.tracking import Clock, Tracker
from tests.graphs import random_graph
from tests.ranks.judged import METRICS, scorer_of
from tests.ranks.shared import MEANS, points
from tests.runs import ITEMS, Interrupt


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
    tracker = Interrupt(*job["at"]) if job["kind"] == "interrupt" else None
    run(load_config(job["config"]), out=out, resume=resume, tracker=tracker, ranks=ranks)


def judge(job: dict[str, Any], ranks: Ranks) -> dict[str, torch.Tensor]:
    """Validation, ranked together; process 0 gives what it measured, all give what they sent."""
    before = ranks.sent
    if ranks.rank:
        follow(ranks)
        return {"sent": torch.tensor(ranks.sent - before)}
    ranking.BLOCK_SCORES = job["block"]
    data = prepare(load_config(job["config"]).dataset, torch.device("cpu"))
    found = evaluate(scorer_of(job["scorer"], data), data.parts.test, data.seen, METRICS, ranks=ranks)
    dismiss(ranks)
    assert found.items is not None
    values = {name: torch.from_numpy(np.asarray(x, dtype=np.float64)) for name, x in found.per_user.items()}
    return {"sent": torch.tensor(ranks.sent - before), "items": torch.from_numpy(found.items), **values}


def both(job: dict[str, Any], ranks: Ranks, folder: Path) -> dict[str, torch.Tensor]:
    """Both stages and the segments between them; process 0 gives its reports and the whole model."""
    if ranks.rank:
        follow(ranks)
        return {}
    config = load_config(job["config"])
    data, progress = prepare(config.dataset, torch.device("cpu")), Progress(ranks=ranks)
    with patch.object(distributed, "divide", lambda indptr, size: job["bounds"]):
        fitted = fit_scorer(config, data, progress, Tracker(), Clock())
    dismiss(ranks)
    write_json(folder / f"{job['name']}.json", progress.history)
    assert fitted.model is not None
    return dict(fitted.model.state_dict())


def means(job: dict[str, Any], ranks: Ranks) -> dict[str, torch.Tensor]:
    """K-means of points, from a sample and from centres that are given."""
    first, end = job["bounds"][ranks.rank : ranks.rank + 2]
    own, size = points()[first:end], MEANS["sample"]
    sample = sampled(own, ranks, np.random.default_rng(2), size)
    before = ranks.moved.get("segments", 0)
    centres, labels = lloyd(own, points()[: MEANS["num_segments"]], ranks)
    moved = torch.tensor(ranks.moved["segments"] - before)
    found = {"centres": centres, "labels": labels, "moved": moved}
    return found if sample is None else {**found, "sample": sample}


def write(job: dict[str, Any], ranks: Ranks, folder: Path) -> dict[str, torch.Tensor]:
    """Lists of all users, in every format."""
    recommender, rules = Recommender.load(job["run"]), Rules(diversity=0.3)
    with patch.multiple("gnnseg.lists", BLOCK_ROWS=50), patch("gnnseg.ranking.BLOCK_SCORES", 7 * ITEMS):
        for suffix in SUFFIXES:
            written = write_lists(recommender, folder / f"lists{suffix}", 5, None, rules, True, ranks=ranks)
    return {"written": torch.tensor(written)}


def hang(ranks: Ranks, folder: Path) -> dict[str, torch.Tensor]:
    """The last process lives and does not answer, until the others have said so."""
    impatient = Ranks(timedelta(seconds=2))
    said = [folder / f"hang.{rank}.error" for rank in range(ranks.size - 1)]
    if ranks.rank == ranks.size - 1:
        while not all(path.exists() for path in said):
            time.sleep(0.05)
        return {}
    with pytest.raises(TrainingError) as late:
        impatient.sum_(torch.ones(1), "losses")
    said[ranks.rank].write_text(str(late.value), encoding="utf-8")
    return {}


def do(job: dict[str, Any], ranks: Ranks, folder: Path) -> None:
    before = dict(ranks.moved)
    if job["kind"] == "lose" and ranks.rank == ranks.size - 1:
        os._exit(9)
    if job["kind"] == "propagate":
        tensors = propagate(job, ranks)
    elif job["kind"] == "both":
        tensors = both(job, ranks, folder)
    elif job["kind"] == "means":
        tensors = means(job, ranks)
    elif job["kind"] == "lists":
        tensors = write(job, ranks, folder)
    elif job["kind"] == "hang":
        tensors = hang(ranks, folder)
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
