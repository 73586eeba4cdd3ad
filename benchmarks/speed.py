"""Speed against named peers, side by side in one run; prints JSON.

    python benchmarks/speed.py --gowalla FOLDER --out benchmarks/results/speed-cpu.json

``FOLDER`` holds ``train.txt.gz`` and ``test.txt.gz`` of Gowalla in the split of the NGCF and LightGCN papers.

* ``step``: forward and backward of LightGCN, 3 layers, d = 64, on Gowalla's graph: ours, PyG's ``LightGCN``
  on a plain ``edge_index``, six raw sparse-dense products (the floor), and ``EdgeIndex.matmul`` between two
  scalings.
* ``ranking``: all users against all items, top 20, seen masked: ours, and the bare blocked product and top-k.
* ``communities``: Leiden and Louvain on Gowalla's bipartite graph, and the consensus of Leiden and k-means.

Every round runs each way once, in turn; the figures are medians over rounds, and ratios are taken round by
round. Beside ``step`` and ``ranking`` stands the share of the device's bandwidth that they reach: bytes by
formula, over seconds, over the bandwidth of a plain copy.

    python benchmarks/speed.py --gowalla FOLDER --seconds-to-accuracy ChebyCF --out seconds.json

times instead how long a baseline or config of ours takes from loaded data to its figures on test, against a
step of the widely used PyTorch LightGCN, projected to the epochs its authors run.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from lightgcn_ways import CooLightGCN
from published_figures import published
from shared import dataset_config, fit_ours, now, output, peak, step_bytes

from gnnseg import environment
from gnnseg.data.sources import AdjacencyLists
from gnnseg.data.splits import Given
from gnnseg.encoders import LightGCN
from gnnseg.environment import describe
from gnnseg.evaluation import evaluate
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.prepared import prepare
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
            started = now(device)
            way()
            taken = now(device) - started
            if count:
                seconds[name].append(taken)
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


def bandwidth(device: torch.device, rounds: int) -> float:
    """Bytes a second of a plain copy, each byte read and written; of one too large for caches."""
    size = 2**28 if device.type == "cuda" else 2**26
    source = torch.ones(size, device=device)
    target = torch.empty_like(source)
    [seconds] = in_turn({"copy": lambda: target.copy_(source)}, rounds, device).values()
    return 2 * source.numel() * source.element_size() / float(np.median(seconds))


def shares(found: dict[str, object], moved: dict[str, float], copied: float) -> dict[str, object]:
    """Add what was moved and the share of the bandwidth of a copy that ours reached."""
    seconds = found["seconds"][found["ours"]]  # type: ignore[index]
    share = {name: value / seconds / copied for name, value in moved.items()}
    return {**found, "bytes": moved, "share_of_bandwidth": share}


def ranking_bytes(graph: BipartiteGraph) -> dict[str, float]:
    """Scores written once and read once, the users' table once, the items' once a block."""
    blocks = -(-graph.num_users // (BLOCK_SCORES // graph.num_items))
    scores = 8.0 * graph.num_users * graph.num_items
    return {"least": scores + 4.0 * DIM * (graph.num_users + blocks * graph.num_items)}


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


def to_accuracy(name: str, folder: Path, device: torch.device, seed: int = 0) -> dict[str, object]:
    """Seconds from loaded data to the figures of a model of ours, and what the published way would take."""
    config, whole = (dataset_config("gowalla", folder, whole=w) for w in (False, True))
    coo = coo_steps(prepare(whole, torch.device("cpu")).train, device)
    fitted = fit_ours(name, config, whole, seed, str(device))
    data = fitted.data
    started = now(device)
    found = evaluate(fitted.scorer, data.parts.test, data.seen, whole.metrics)
    seconds = {"fit": fitted.seconds, "evaluate": now(device) - started}
    figures = [p for p in published("gowalla") if p["name"].startswith("LightGCN")]
    return {
        "dataset": data.describe(),
        "model": name,
        "settings": fitted.settings,
        "metrics": found.means,
        "seconds": seconds,
        "peak_memory_mb": peak(device),
        "memory_before_mb": fitted.memory_before_mb,
        "published_way": coo,
        "projected_over_ours": {
            "fit": coo["projected_seconds"] / seconds["fit"],
            "fit and rank": coo["projected_seconds"] / sum(seconds.values()),
        },
        "published": figures,
        "reached": {p["name"]: all(found.means[m] >= v for m, v in p["metrics"].items()) for p in figures},
        "environment": describe(device),
    }


def coo_steps(links: sp.csr_matrix, device: torch.device, rounds: int = 9) -> dict[str, float]:
    """Seconds a step of the widely used PyTorch LightGCN, and of all the steps that its authors run."""
    torch.manual_seed(0)
    way = CooLightGCN(links, device=device)
    batches = way.batches()
    [seconds] = in_turn({"step": lambda: float(way.step(next(batches)))}, rounds, device).values()
    median = float(np.median(seconds))
    return {
        "seconds_a_step": median,
        "steps_an_epoch": way.steps_per_epoch,
        "published_epochs": way.published_epochs,
        "projected_seconds": median * way.steps_per_epoch * way.published_epochs,
    }


def compare(folder: Path, device: torch.device, rounds: int) -> dict[str, object]:
    """Speeds on Gowalla, side by side."""
    dataset = AdjacencyLists(folder, train="train.txt.gz", test="test.txt.gz").load("gowalla")
    train = Given(valid=0.0).split(dataset).train
    graph = BipartiteGraph.from_interactions(train, dataset.num_users, dataset.num_items).to(device)
    copied = bandwidth(device, rounds)
    sizes = {"users": graph.num_users, "items": graph.num_items, "train": graph.num_edges}
    return {
        "dataset": {"name": "gowalla", **sizes},
        "copy_bytes_a_second": copied,
        "step": shares(step(graph, rounds), step_bytes(graph, DIM, LAYERS), copied),
        "ranking": shares(ranking(graph, max(3, rounds // 2)), ranking_bytes(graph), copied),
        "communities": communities(graph),
        "environment": describe(device),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gowalla", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--seconds-to-accuracy", nargs="?", const="ChebyCF", metavar="MODEL", help="a baseline or config"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    device = environment.find_device(options.device)
    if options.seconds_to_accuracy:
        output(to_accuracy(options.seconds_to_accuracy, options.gowalla, device), options.out)
    else:
        output(compare(options.gowalla, device, options.rounds), options.out)


if __name__ == "__main__":
    main()
