"""Texts a second: TransformerEncoder against sentence-transformers, same weights, precision and batch size.

Prints JSON. The two take turns on the same distinct texts; each round gives one ratio of their speeds
(above 1: TransformerEncoder is faster). The disk cache is timed with a fresh encoder on a second run.

    python benchmarks/text.py --out benchmarks/results/text.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import polars as pl
import torch
from torch import Tensor

from gnnseg import files
from gnnseg.text import TransformerEncoder
from gnnseg.text.weights import resolve


def movie_texts(num_texts: int) -> list[str]:
    """Distinct texts (title, year, genres) of the bundled movies, in random order."""
    folder = resources.files("gnnseg.data") / "bundled"
    [path] = [Path(str(file)) for file in folder.iterdir() if file.name.endswith("items.parquet")]
    columns = [pl.col(name).cast(pl.String).fill_null("") for name in ("title", "year", "genres")]
    frame = pl.read_parquet(path).select(text=pl.concat_str(columns, separator=". "))
    texts = frame["text"].unique(maintain_order=True).to_list()
    random.Random(0).shuffle(texts)
    return texts[:num_texts]


def seconds(run: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Wall time of ``run`` and what it gave."""
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def compare(texts: list[str], batch_size: int, rounds: int) -> dict[str, Any]:
    """Speeds of both, in turn, with medians over the rounds."""
    from sentence_transformers import SentenceTransformer

    ours = TransformerEncoder(batch_size=batch_size, cache=False)
    peer = SentenceTransformer(str(resolve("minilm").path), device="cpu")
    runs: dict[str, Callable[[list[str]], Tensor]] = {
        "gnnseg": ours.encode,
        "sentence-transformers": lambda batch: peer.encode(
            batch,
            batch_size=batch_size,
            normalize_embeddings=True,
            convert_to_tensor=True,
            show_progress_bar=False,
        ),
    }
    for run in runs.values():
        run(texts[: 2 * batch_size])
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    vectors: dict[str, Tensor] = {}
    for _ in range(rounds):
        for name, run in runs.items():
            taken, vectors[name] = seconds(lambda run=run: run(texts))  # type: ignore[misc]
            speeds[name].append(len(texts) / taken)
    first, second = speeds.values()
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    return {
        "batch_size": batch_size,
        "texts_per_second": {name: round(statistics.median(values), 1) for name, values in speeds.items()},
        "rounds": {name: [round(value, 1) for value in values] for name, values in speeds.items()},
        "ratio_per_round": [round(ratio, 3) for ratio in ratios],
        "ratio": round(statistics.median(ratios), 3),
        "largest_difference": float((vectors["gnnseg"] - vectors["sentence-transformers"]).abs().max()),
    }


def cached(texts: list[str]) -> dict[str, float]:
    """Seconds of a first run that fills an empty cache, and of a second one in a fresh encoder."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GNNSEG_HOME"] = folder
        first, computed = seconds(lambda: TransformerEncoder().encode(texts))
        second, read = seconds(lambda: TransformerEncoder().encode(texts))
    if not torch.equal(computed, read):
        raise SystemExit("the cache gave other vectors")
    return {"first_seconds": round(first, 3), "second_seconds": round(second, 4)}


def main() -> None:
    """Measure, print and perhaps write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="file to write the JSON to as well")
    parser.add_argument("--texts", type=int, default=2_000, help="number of texts")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    texts = movie_texts(options.texts)
    packages = ("torch", "transformers", "sentence-transformers")
    result = {
        "benchmark": "text",
        "num_texts": len(texts),
        "dtype": "float32",
        "weights": TransformerEncoder().describe(),
        "threads": options.threads,
        "load_average_before": round(os.getloadavg()[0], 2),
        "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}},
        "comparisons": [compare(texts, batch_size, options.rounds) for batch_size in (32, 64)],
        "cache": cached(texts),
    }
    print(json.dumps(result, indent=2))
    if options.out is not None:
        files.write_json(options.out, result)


if __name__ == "__main__":
    main()
