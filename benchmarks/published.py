"""Baselines at their authors' settings on Gowalla, against the figures their papers report; prints JSON.

    python benchmarks/published.py --gowalla FOLDER --out benchmarks/results/gowalla/published.json

``FOLDER`` holds ``train.txt.gz`` and ``test.txt.gz`` in the split of the NGCF and LightGCN papers. Nothing is
chosen here: all of train is learned from, and test is read once for each.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch

from gnnseg.baselines import GFCF, Baseline, ChebyCF
from gnnseg.data.sources import AdjacencyLists
from gnnseg.data.splits import Given
from gnnseg.environment import describe
from gnnseg.evaluation import evaluate
from gnnseg.graph import BipartiteGraph

METRICS = ["recall@20", "ndcg@20"]
PUBLISHED: list[tuple[Baseline, str, dict[str, float]]] = [
    (GFCF(), "arXiv 2108.07567", {"recall@20": 0.1849, "ndcg@20": 0.1518}),
    (ChebyCF(), "arXiv 2505.00552", {"recall@20": 0.1941, "ndcg@20": 0.1616}),
]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gowalla", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dataset = AdjacencyLists(options.gowalla, train="train.txt.gz", test="test.txt.gz").load("gowalla")
    parts = Given(valid=0.0).split(dataset)
    graph = BipartiteGraph.from_interactions(parts.train, dataset.num_users, dataset.num_items)
    models = []
    for baseline, source, published in PUBLISHED:
        started = time.perf_counter()
        scorer = baseline.fit(graph)
        fitted = time.perf_counter()
        found = evaluate(scorer, parts.test, graph.biadjacency(), METRICS)
        models.append(
            {
                "name": type(baseline).__name__,
                "settings": vars(baseline),
                "source": source,
                "published": published,
                "metrics": found.intervals(),
                "seconds": {"fit": fitted - started, "evaluate": time.perf_counter() - fitted},
            }
        )
    results = {"dataset": "gowalla", "models": models, "environment": describe(torch.device("cpu"))}
    text = json.dumps(results, indent=2)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
