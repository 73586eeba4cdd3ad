"""Speed against named peers, side by side in one run; prints JSON.

    python benchmarks/speed.py --gowalla FOLDER --out benchmarks/results/speed-cpu.json

``FOLDER`` holds ``train.txt.gz`` and ``test.txt.gz`` of Gowalla in the split of the NGCF and LightGCN papers.

* ``step``: forward and backward of LightGCN, 3 layers, d = 64, on Gowalla's graph: ours, PyG's ``LightGCN``
  on a plain ``edge_index``, six raw sparse-dense products (the floor), and ``EdgeIndex.matmul`` between two
  scalings.
* ``ranking``: all users against all items, top 20, seen masked: ours, and the bare blocked product and top-k.
* ``communities``: Leiden and Louvain on Gowalla's bipartite graph, and the consensus of Leiden and k-means.

Every round runs each way once, in turn; the figures are medians over rounds, and ratios are taken round by
round.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from gnnseg.data.sources import AdjacencyLists
from gnnseg.data.splits import Given
from gnnseg.encoders import LightGCN
from gnnseg.environment import describe
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.ranking import BLOCK_SCORES, top_k
from gnnseg.scoring import DotProduct
from gnnseg.seeding import numpy_rng
from gnnseg.segments import Consensus, Leiden, Louvain

LAYERS, DIM, TOP = 3, 64, 20


def in_turn(
    ways: dict[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for count in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if count:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def summary(seconds: dict[str, list[float]], ours: str) -> dict[str, object]:
    """Median seconds, and the median over rounds of each peer's seconds over ours."""
    mine = np.array(seconds[ours])
    return {
        "seconds": {name: float(np.median(values)) for name, values in seconds.items()},
        "ours": ours,
        "others_over_ours": {
            name: float(np.median(np.array(values) / mine))
            for name, values in seconds.items()
            if name != ours
        },
        "rounds": len(mine),
    }


def step(graph: BipartiteGraph, rounds: int) -> dict[str, object]:
    """LightGCN forward and backward."""
    from torch_geometric.nn import LightGCN as PyGLightGCN

    device = graph.device
    torch.manual_seed(0)
    encoder = LightGCN(graph.num_users, graph.num_items, dim=DIM, num_layers=LAYERS).to(device)
    peer = PyGLightGCN(graph.num_nodes, DIM, LAYERS).to(device)
    x = torch.randn(graph.num_nodes, DIM, device=device, requires_grad=True)
    gradient = torch.randn(graph.num_nodes, DIM, device=device)
    edges = graph.edge_index
    plain = edges.as_tensor()
    scale = graph.degrees.clamp(min=1).rsqrt().unsqueeze(1)

    def ours() -> None:
        graph.stack(encoder(graph)).backward(gradient)

    def pyg() -> None:
        peer.get_embedding(plain).backward(gradient)

    def edge_index() -> None:
        layer = total = x
        for _ in range(LAYERS):
            layer = scale * edges.matmul(scale * layer)
            total = total + layer
        (total / (LAYERS + 1)).backward(gradient)

    def floor() -> None:
        h = x.detach()
        for _ in range(2 * LAYERS):
            h = graph.adjacency @ h

    ways = {"gnnseg": ours, "PyG LightGCN": pyg, "EdgeIndex.matmul": edge_index, "six products": floor}
    return summary(in_turn(ways, rounds, device), "gnnseg")


def ranking(graph: BipartiteGraph, rounds: int) -> dict[str, object]:
    """All users against all items."""
    device = graph.device
    torch.manual_seed(0)
    scorer = DotProduct(
        torch.randn(graph.num_users, DIM, device=device), torch.randn(graph.num_items, DIM, device=device)
    )
    users = np.arange(graph.num_users)
    seen = graph.biadjacency()

    @torch.inference_mode()
    def bare() -> None:
        for block in torch.arange(graph.num_users, device=device).split(BLOCK_SCORES // graph.num_items):
            torch.topk(scorer.users[block] @ scorer.items.T, TOP)

    ways = {"gnnseg": lambda: top_k(scorer, users, TOP, seen), "bare product and top-k": bare}
    return summary(in_turn(ways, rounds, device), "gnnseg")


def communities(graph: BipartiteGraph) -> dict[str, object]:
    """Seconds to fit each segmenter once, on random embeddings."""
    torch.manual_seed(0)
    embeddings = Embeddings(torch.randn(graph.num_users, DIM), torch.randn(graph.num_items, DIM))
    result: dict[str, object] = {}
    for segmenter in (Leiden(), Louvain(), Consensus()):
        started = time.perf_counter()
        segmenter.fit(graph.to("cpu"), embeddings, numpy_rng(0, "segments"))
        seconds = time.perf_counter() - started
        result[type(segmenter).__name__] = {"seconds": seconds, "segments": segmenter.num_segments}
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gowalla", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    dataset = AdjacencyLists(options.gowalla, train="train.txt.gz", test="test.txt.gz").load("gowalla")
    train = Given(valid=0.0).split(dataset).train
    graph = BipartiteGraph.from_interactions(train, dataset.num_users, dataset.num_items).to(device)
    results = {
        "dataset": {
            "name": "gowalla",
            "users": graph.num_users,
            "items": graph.num_items,
            "train": graph.num_edges,
        },
        "step": step(graph, options.rounds),
        "ranking": ranking(graph, max(3, options.rounds // 2)),
        "communities": communities(graph),
        "environment": describe(device),
    }
    text = json.dumps(results, indent=2)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
