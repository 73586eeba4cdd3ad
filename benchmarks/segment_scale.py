"""Segments of a large graph with planted groups: seconds, memory and what was recovered; prints JSON.

    python benchmarks/segment_scale.py --users 1e6 --items 1e5 --edges 2e7 \
        --out benchmarks/results/segments-large.json

Users and items are divided into groups; a share ``--inside`` of a user's edges leads into its own group, the
rest anywhere, items by a Zipf law. Embeddings are the group's random direction plus noise. Each segmenter is
fitted once, in the order named, in one process; peak memory is of the process, graph included.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from shared import output, peak, reset_peak
from sklearn.metrics import adjusted_rand_score

from gnnseg.environment import describe
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.seeding import numpy_rng
from gnnseg.segments import SEGMENTERS

GROUPS, DIM, NOISE, BLOCK = 20, 64, 0.5, 2**22


def planted(users: int, items: int, edges: int, inside: float) -> tuple[sp.csr_matrix, np.ndarray]:
    """A bipartite graph ``[U, I]`` of about ``edges`` edges, and the group of each user ``[U]``."""
    rng = numpy_rng(0, "segment scale")
    groups = rng.integers(GROUPS, size=users)
    length = items // GROUPS
    ranks = np.arange(1, length + 1, dtype=np.float64)
    popularity = np.cumsum(1 / ranks**0.8)
    popularity /= popularity[-1]
    keys = []
    for start in range(0, edges, BLOCK):
        size = min(BLOCK, edges - start)
        user = rng.integers(users, size=size)
        group = np.where(rng.random(size) < inside, groups[user], rng.integers(GROUPS, size=size))
        item = np.searchsorted(popularity, rng.random(size)) * GROUPS + group
        keys.append(user * np.int64(items) + item)
    pairs = np.unique(np.concatenate(keys))
    rows, columns = pairs // items, (pairs % items).astype(np.int32)
    indptr = np.searchsorted(rows, np.arange(users + 1)).astype(np.int32)
    return sp.csr_matrix((np.ones(len(pairs), np.float32), columns, indptr), shape=(users, items)), groups


def vectors(groups: np.ndarray, items: int) -> Embeddings:
    """Embeddings of users by group, items at random."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(GROUPS, DIM, generator=generator) / DIM**0.5
    noise = torch.randn(len(groups), DIM, generator=generator) * (NOISE / DIM**0.5)
    return Embeddings(
        directions[torch.from_numpy(groups)] + noise, torch.randn(items, DIM, generator=generator)
    )


def main() -> None:
    """Make the graph, fit each segmenter, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=float, default=1e6)
    parser.add_argument("--items", type=float, default=1e5)
    parser.add_argument("--edges", type=float, default=2e7)
    parser.add_argument("--inside", type=float, default=0.5)
    parser.add_argument("--segmenters", default="Leiden,KMeans,Consensus")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    matrix, groups = planted(int(options.users), int(options.items), int(options.edges), options.inside)
    graph, embeddings = BipartiteGraph(matrix, torch.device("cpu")), vectors(groups, matrix.shape[1])
    found: list[dict[str, Any]] = []
    for name in options.segmenters.split(","):
        sized = {"num_segments": GROUPS} if name != "Leiden" else {}
        reset_peak(torch.device("cpu"))
        started = time.perf_counter()
        segmenter = SEGMENTERS.create({"name": name, **sized}).fit(graph, embeddings, numpy_rng(0, name))
        found.append(
            {
                "name": name,
                "seconds": time.perf_counter() - started,
                "peak_memory_mb": peak(torch.device("cpu")),
                "segments": segmenter.num_segments,
                "adjusted_rand": float(adjusted_rand_score(groups, segmenter.labels.numpy())),
            }
        )
    sizes = {"users": graph.num_users, "items": graph.num_items, "edges": graph.num_edges}
    output(
        {
            **sizes,
            "inside": options.inside,
            "segmenters": found,
            "environment": describe(torch.device("cpu")),
        },
        options.out,
    )


if __name__ == "__main__":
    main()
