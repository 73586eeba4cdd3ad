"""One LightGCN training step on synthetic graphs of growing size; prints JSON.

    python benchmarks/growth.py --edges 1e6,1e7,1e8 --out benchmarks/results/growth-cpu.json

With ``--mapped DIR`` the graph's matrix lies in files made there, and memory holds a block of it.

A graph of ``n`` edges has ``n / 50`` users and ``n / 200`` items. Users' degrees follow a Pareto law, items
are drawn by a shifted Zipf law and numbered at random, repeated pairs are drawn anew. A step scores a
hundredth of the edges. Each size runs in a process of its own; generation, the building of the graph and the
step are timed apart, each with the peak of resident memory above what the process held before it.
"""

from __future__ import annotations

import argparse
import atexit
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from shared import now, output, peak, reset_peak, step_bytes

from gnnseg import environment
from gnnseg.encoders import LightGCN
from gnnseg.environment import describe
from gnnseg.graph import BipartiteGraph
from gnnseg.mapped import MappedGraph
from gnnseg.seeding import numpy_rng, torch_rng

USER_DEGREE, ITEM_DEGREE, BATCHES = 50, 200, 100
BLOCK = 2**22
ROUNDS = 3
"""How often a user's repeated items are drawn anew; the few left are dropped."""


def power_law(edges: int, seed: int = 0) -> sp.csr_matrix:
    """A bipartite graph with heavy tails on both sides, in CSR with 32-bit indices, ``[U, I]``.

    Args:
        edges: How many are aimed at; at most ``2^31``.
        seed: Of everything.
    """
    rng = numpy_rng(seed, "growth")
    num_users, num_items = max(2, edges // USER_DEGREE), max(4, edges // ITEM_DEGREE)
    share = rng.pareto(1.5, num_users) + 1
    degrees = np.minimum(share * (edges / share.sum()), num_items / 4)
    degrees = np.maximum(
        1, np.minimum(degrees * (edges / degrees.sum()) + rng.random(num_users), num_items / 2)
    )
    degrees = degrees.astype(np.int64)
    name = rng.permutation(num_items).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(degrees)])
    cuts = np.unique(np.searchsorted(starts, [*range(0, starts[-1], BLOCK), starts[-1]]))
    counts = np.zeros(num_users + 1, dtype=np.int64)
    columns = np.empty(starts[-1], dtype=np.int32)
    filled = 0
    for first, last in pairwise(cuts):
        keys = _different(degrees[first:last], name, rng)
        counts[first + 1 : last + 1] = np.bincount(keys // num_items, minlength=last - first)
        columns[filled : filled + len(keys)] = keys % num_items
        filled += len(keys)
    columns.resize(filled, refcheck=False)
    index = np.int32 if filled < np.iinfo(np.int32).max else np.int64
    ones = np.ones(filled, dtype=np.float32)
    links = sp.csr_matrix((ones, columns, np.cumsum(counts).astype(index)), shape=(num_users, num_items))
    links.has_canonical_format = True  # keys ascend and differ
    return links


def _different(degrees: np.ndarray, name: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sorted keys ``user * I + item`` of users, each with about as many different items as its degree."""
    num_items = len(name)
    keys = np.empty(0, dtype=np.int64)
    for _ in range(ROUNDS):
        missing = degrees - np.bincount(keys // num_items, minlength=len(degrees))
        users = np.repeat(np.arange(len(degrees)), missing)
        drawn = users * num_items + name[_zipf(len(users), num_items, rng)]
        keys = np.sort(np.concatenate([keys, drawn]))  # np.unique hashes, which takes far longer
        keys = keys[np.r_[True, keys[1:] != keys[:-1]]]
    return keys


def _zipf(count: int, size: int, rng: np.random.Generator, shift: float = 100.0) -> np.ndarray:
    """Ranks below ``size`` with density ``1 / (rank + shift)``, by the inverse of its integral."""
    drawn = shift * np.exp(rng.random(count) * np.log1p(size / shift)) - shift
    return np.minimum(drawn.astype(np.int64), size - 1)


def training_step(graph: BipartiteGraph, dim: int, layers: int) -> Callable[[], None]:
    """LightGCN with BPR on a batch of edges drawn at random: forward, backward, AdamW."""
    torch.manual_seed(0)
    device, batch = graph.device, max(1, graph.num_edges // BATCHES)
    encoder = LightGCN(graph.num_users, graph.num_items, dim=dim, num_layers=layers).to(device)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.01)
    generator = torch_rng(0, "growth", device)
    starts = graph.adjacency.crow_indices()[: graph.num_users + 1]
    columns = graph.adjacency.col_indices()

    def step() -> None:
        edge = torch.randint(graph.num_edges, (batch,), generator=generator, device=device)
        users = torch.searchsorted(starts, edge.to(starts.dtype), right=True) - 1
        positive = columns[edge].long() - graph.num_users
        negative = torch.randint(graph.num_items, (batch,), generator=generator, device=device)
        tables = encoder(graph)
        user = tables.users[users]
        difference = (user * (tables.items[positive] - tables.items[negative])).sum(1)
        optimizer.zero_grad(set_to_none=True)
        F.softplus(-difference).mean().backward()
        optimizer.step()

    return step


def measured(do: Callable[[], Any], device: torch.device) -> tuple[Any, dict[str, float]]:
    """What it gave, its seconds and its peak of memory above what was held before, in MB."""
    before = reset_peak(device)
    started = now(device)
    result = do()
    seconds = now(device) - started
    return result, {"seconds": seconds, "peak_mb": peak(device) - before, "before_mb": before}


def built(links: sp.csr_matrix, device: torch.device, mapped: Path | None) -> BipartiteGraph:
    """The graph, in memory or with its matrix in files that last as long as the process."""
    if mapped is None:
        return BipartiteGraph(links, device)
    folder = tempfile.mkdtemp(prefix="gnnseg-growth-", dir=mapped)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return MappedGraph(links, Path(folder))


def child(options: argparse.Namespace) -> dict[str, Any]:
    """One size."""
    device = environment.find_device(options.device)
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")
    cpu = torch.device("cpu")
    links, generate = measured(lambda: power_law(int(float(options.child))), cpu)
    graph, build = measured(lambda: built(links, device, options.mapped), cpu)
    step = training_step(graph, options.dim, options.layers)
    _, first = measured(step, device)  # allocates gradients and moments
    seconds = []
    for _ in range(options.rounds):
        started = time.perf_counter()
        step()
        now(device)
        seconds.append(time.perf_counter() - started)
    degrees = np.diff(links.indptr)
    return {
        "edges": graph.num_edges,
        "users": graph.num_users,
        "items": graph.num_items,
        "largest_degrees": {"user": int(degrees.max()), "item": int(graph.degrees[graph.num_users :].max())},
        "generate": generate,
        "build": build,
        "graph_bytes": sum(
            part.numel() * part.element_size()
            for part in (
                graph.adjacency.crow_indices(),
                graph.adjacency.col_indices(),
                graph.adjacency.values(),
            )
        )
        + links.data.nbytes
        + links.indices.nbytes
        + links.indptr.nbytes,
        "first_step": first,
        "step_seconds": float(np.median(seconds)),
        "step_bytes": step_bytes(graph, options.dim, options.layers),
        "maxrss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        "peak_mb": max(part["before_mb"] + part["peak_mb"] for part in (generate, build, first)),
    }


def per_edge(sizes: list[dict[str, Any]]) -> None:
    """Add figures an edge, memory above that of the empty process, and the smallest size's as the measure."""
    for size in sizes:
        size["nanoseconds_an_edge"] = size["step_seconds"] / size["edges"] * 1e9
        size["graph_bytes_an_edge"] = size["graph_bytes"] / size["edges"]
        above = size["peak_mb"] - size["generate"]["before_mb"]
        size["peak_bytes_an_edge"] = above * 2**20 / size["edges"]
    for size in sizes:
        size["step_per_edge_over_smallest"] = size["nanoseconds_an_edge"] / sizes[0]["nanoseconds_an_edge"]


def main() -> None:
    """Measure each size in its own process, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edges", default="1e6,1e7,1e8")
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--mapped", type=Path, help="Where files of the graph are made; without it, it is in memory."
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options)))
        return
    sizes = []
    for edges in options.edges.split(","):
        same = [
            f"--{key}={getattr(options, key)}" for key in ("dim", "layers", "rounds", "device", "threads")
        ]
        same += [] if options.mapped is None else [f"--mapped={options.mapped}"]
        command = [sys.executable, __file__, "--child", edges, *same]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        sizes.append(json.loads(done.stdout))
    per_edge(sizes)
    torch.set_num_threads(options.threads)
    device = environment.find_device(options.device)
    settings = {key: getattr(options, key) for key in ("dim", "layers", "rounds")}
    settings["mapped"] = options.mapped is not None
    output({**settings, "sizes": sizes, "environment": describe(device)}, options.out)


if __name__ == "__main__":
    main()
