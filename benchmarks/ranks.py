"""Seconds a step of one process with one thread against several, and the bytes they move; prints JSON.

    python benchmarks/ranks.py --users 200000 --items 20000 --edges 4e6 --processes 1 2 \
        --out benchmarks/results/ranks.json

Edges join users and items at random. Each number of processes trains LightGCN on BPR for a few steps; the
first, which pays for memory and connections, does not count, and the median of the others is told. All have
one thread, so that two processes on two cores can be told from one. ``formula`` is what the propagation
should move (docs/scale.md), ``moved`` what the collectives counted, both in bytes a process and step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.distributed as dist
from shared import output, peak

from gnnseg.config import Schedule
from gnnseg.encoders import LightGCN
from gnnseg.environment import describe
from gnnseg.graph import BipartiteGraph
from gnnseg.losses import BPR
from gnnseg.model import SegmentRecommender
from gnnseg.ranks import RankGraph, Ranks, divide
from gnnseg.sampling import Uniform
from gnnseg.seeding import numpy_rng, torch_rng
from gnnseg.steps import SharedStep, Step
from gnnseg.training import start_training


def interactions(users: int, items: int, edges: int) -> sp.csr_matrix:
    """A random matrix ``[U, I]`` of about so many edges."""
    rng = numpy_rng(0, "ranks")
    keys = np.unique(rng.integers(users, size=edges) * np.int64(items) + rng.integers(items, size=edges))
    rows, columns = keys // items, (keys % items).astype(np.int32)
    indptr = np.searchsorted(rows, np.arange(users + 1)).astype(np.int32)
    return sp.csr_matrix((np.ones(len(keys), np.float32), columns, indptr), shape=(users, items))


def graph_of(matrix: sp.csr_matrix, ranks: Ranks | None) -> BipartiteGraph:
    """The whole graph, or the part of this process."""
    if ranks is None:
        return BipartiteGraph(matrix)
    bounds = divide(matrix.indptr, ranks.size)
    first, last = bounds[ranks.rank], bounds[ranks.rank + 1]
    degrees = np.bincount(matrix.indices, minlength=matrix.shape[1])
    return RankGraph(matrix[first:last], degrees, ranks, int(matrix.indptr[first]), matrix.nnz)


def measure(options: argparse.Namespace, ranks: Ranks | None) -> dict[str, Any]:
    """Train some steps."""
    torch.set_num_threads(1)
    graph = graph_of(interactions(options.users, options.items, options.edges), ranks)
    torch.manual_seed(0)
    encoder = LightGCN(graph.num_users, graph.num_items, dim=options.dim, num_layers=options.layers)
    model, schedule = SegmentRecommender(encoder), Schedule(batch_size=options.batch_size)
    state = start_training(model, schedule, torch_rng(0, "ranks"))
    kind = Step if ranks is None else SharedStep
    step = kind(model, graph, BPR(), schedule, state, Uniform(graph), ())  # type: ignore[arg-type]
    seconds = []
    for _ in range(options.steps + 1):
        edges = torch.randint(graph.num_edges, (options.batch_size,), generator=state.generator)
        started = time.perf_counter()
        step.descend(step.loss_at(edges))
        seconds.append(time.perf_counter() - started)
    size, moved = (1, {}) if ranks is None else (ranks.size, ranks.moved)
    table = options.items * options.dim * 4
    return {
        "processes": size,
        "seconds": statistics.median(seconds[1:]),
        "all_seconds": seconds[1:],
        "peak_memory_mb": peak(graph.device),
        "moved": {name: count / len(seconds) for name, count in moved.items()},
        "formula": 2 * options.layers * 2 * (size - 1) / size * table,
        "edges": graph.num_edges,
    }


def worker(options: argparse.Namespace) -> None:
    """One of several processes; the first writes what it found."""
    folder, rank = Path(options.folder), options.rank
    ranks = None
    if options.size > 1:
        store, patience = f"file://{folder / 'store'}", timedelta(minutes=30)
        dist.init_process_group("gloo", store, patience, rank=rank, world_size=options.size)
        ranks = Ranks()
    found = measure(options, ranks)
    if rank == 0:
        (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")
    if ranks is not None:
        ranks.close()


def start(size: int, arguments: list[str]) -> dict[str, Any]:
    """Run so many processes and read what the first found."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, *arguments, "--folder", folder, "--size", str(size), "--rank"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        processes = [subprocess.Popen([*command, str(rank)], env=environment) for rank in range(size)]
        codes = [process.wait() for process in processes]
        if any(codes):
            raise SystemExit(f"one of {size} processes failed")
        found: dict[str, Any] = json.loads((Path(folder) / "found.json").read_text(encoding="utf-8"))
    return found


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    sizes = {"users": 200_000, "items": 20_000, "edges": 4e6, "dim": 64, "layers": 3, "batch-size": 8192}
    for name, value in {**sizes, "steps": 10}.items():
        parser.add_argument(f"--{name}", type=lambda text: int(float(text)), default=int(value))
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        worker(options)
        return
    arguments = [f"--{name}={getattr(options, name.replace('-', '_'))}" for name in (*sizes, "steps")]
    found = [start(size, arguments) for size in options.processes]
    for one in found:
        one["speedup"] = found[0]["seconds"] / one["seconds"]
    settings = {name: getattr(options, name.replace("-", "_")) for name in (*sizes, "steps")}
    output({"settings": settings, "runs": found, "environment": describe(torch.device("cpu"))}, options.out)


if __name__ == "__main__":
    main()
