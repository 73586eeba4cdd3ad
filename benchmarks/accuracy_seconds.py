"""Plot accuracy against seconds to fit from files of results, published figures beside them; PNG and SVG.

    python benchmarks/accuracy_seconds.py benchmarks/results/gowalla/results.json \
        benchmarks/results/gowalla/peers.json --out docs/accuracy-seconds-gowalla

Files are those of ``gnnseg benchmark`` and ``benchmarks/peers.py`` on one dataset; where both hold a model of
ours, the first file's is drawn. A published figure is drawn as a dashed line, not as a point: its seconds
are not known.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from published_figures import published
from shared import read_json

from gnnseg.report.plots import accuracy_seconds, save


def main() -> None:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--metric", help="the last of the first two that the protocol names by default")
    parser.add_argument("--published", help="names to draw, separated by commas; all by default, '' for none")
    parser.add_argument("--out", type=Path, required=True, help="without a suffix")
    options = parser.parse_args()
    files = [read_json(path) for path in options.results]
    names = sorted({found["dataset"]["name"] for found in files})
    if len(names) > 1:
        parser.error(f"results are of different datasets: {', '.join(names)}")
    metric = options.metric or files[0]["protocol"]["metrics"][:2][-1]
    models = {model["name"]: model for found in reversed(files) for model in found["models"]}
    wanted = None if options.published is None else options.published.split(",")
    lines = {
        figure["name"]: figure["metrics"][metric]
        for figure in published(names[0])
        if metric in figure["metrics"] and (wanted is None or figure["name"] in wanted)
    }
    title = f"{names[0]}: accuracy against seconds"
    for path in save(accuracy_seconds(list(models.values()), metric, lines, title), options.out):
        print(path)


if __name__ == "__main__":
    main()
