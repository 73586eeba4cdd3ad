"""Write the tables of README.md and docs/ from the JSON in ``benchmarks/results``.

    python benchmarks/report.py          # write them
    python benchmarks/report.py --check  # exit 1 if a page does not hold what the JSON says

A table stands between ``<!-- results: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gnnseg.report.tables import comparison_rows, markdown, mean_seconds, peak_memory, verdict

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BLOCK = re.compile(r"(<!-- results: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def read(name: str) -> Any:
    """One file of results."""
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def accuracy() -> str:
    """Models on the bundled MovieLens."""
    results = read("movielens/results.json")
    metrics = ["recall@10", "ndcg@10", "recall@20", "ndcg@20"]
    rows = []
    for model in results["models"]:
        cells = [_interval(model["metrics"][metric]) for metric in metrics]
        costs = [f"{mean_seconds(model, 'fit'):.1f}", f"{peak_memory(model):.0f}"]
        rows.append([model["name"], *cells, *costs])
    seeds = len(results["models"][0]["runs"])
    data = results["dataset"]
    note = (
        f"{data['users']:,} users, {data['items']:,} items, {data['train']:,} training interactions; mean "
        f"over {seeds} seeds with 95 % bootstrap intervals over users."
    )
    return f"{markdown(['model', *metrics, 'fit s', 'peak MB'], rows)}\n\n{note}"


def against() -> str:
    """The full system against each of the others."""
    results = read("movielens/results.json")
    return f"{markdown(*comparison_rows(results, 'ndcg@10'))}\n\n{_upper(verdict(results, 'ndcg@10'))}"


def plain() -> str:
    """Which simple baselines the full system beats and which it does not."""
    results = read("movielens/results.json")
    full = results["models"][-1]["name"]
    groups: dict[str, list[str]] = {"beats": [], "ties with": [], "loses to": []}
    for row in results["comparisons"]:
        if row["metric"] == "ndcg@10":
            word = "ties with"
            if row["p_adjusted"] < 0.05:
                word = "beats" if row["difference"] > 0 else "loses to"
            groups[word].append(f"{row['baseline']} ({row['relative']:+.1%}, p {row['p_adjusted']:.2g})")
    lines = [f"* **{full}** {word} {', '.join(names)}." for word, names in groups.items() if names]
    served = [run["decision"]["served"] for run in results["models"][-1]["runs"] if run["decision"]]
    kept = served.count("segmented")
    lines.append(
        f"* Validation kept the segments in {kept} of {len(served)} seeds, else served the global model."
    )
    return "\n".join(lines)


def speed() -> str:
    """Ratios against peers."""
    found = read("speed-cpu.json")
    text = read("text-cpu.json")
    first = read("first-command.json")
    step, ranks = found["step"], found["ranking"]
    rows = [
        ["LightGCN step, Gowalla", f"{step['seconds']['gnnseg']:.3f} s", "PyG `LightGCN`",
         f"{step['others_over_ours']['PyG LightGCN']:.1f} times faster"],
        ["", "", "six raw products", f"{1 / step['others_over_ours']['six products']:.2f} times as long"],
        ["ranking all of Gowalla", f"{ranks['seconds']['gnnseg']:.1f} s", "bare product and top-k",
         f"{1 / ranks['others_over_ours']['bare product and top-k']:.2f} times as long"],
        ["Leiden, Gowalla", f"{found['communities']['Leiden']['seconds']:.1f} s", "", ""],
    ]  # fmt: skip
    rows += [
        [
            f"texts, batch {batch}",
            f"{r['gnnseg']:.0f} a second",
            "sentence-transformers",
            f"{r['ratio']:.2f} times",
        ]
        for batch, r in text_rates(text).items()
    ]
    rows += [
        [f"first command{', --quick' if kind == 'quick' else ''}", f"{first[kind]['seconds']:.0f} s",
         "", f"{first[kind]['peak_memory_mb_so_far']:.0f} MB"]
        for kind in ("quick", "full")
    ]  # fmt: skip
    environment = found["environment"]
    note = f"{environment['threads']} threads of {environment['cpu']}, torch {environment['torch']}."
    return f"{markdown(['what', 'gnnseg', 'against', 'ratio'], rows)}\n\n{note}"


def published() -> str:
    """Baselines at their authors' settings, beside the figures of their papers."""
    rows = []
    for model in read("gowalla/published.json")["models"]:
        cells = [
            f"{model['metrics'][m]['mean']:.4f} ({model['published'][m]:.4f})" for m in model["published"]
        ]
        costs = [f"{model['seconds'][step]:.0f}" for step in ("fit", "evaluate")]
        rows.append([model["name"], *cells, *costs, model["source"]])
    return markdown(["model", "recall@20", "ndcg@20", "fit s", "rank s", "published in"], rows)


def text_rates(text: Any) -> dict[str, dict[str, float]]:
    """Texts a second by batch size, ours and the ratio to the peer."""
    return {
        str(entry["batch_size"]): {"gnnseg": entry["texts_per_second"]["gnnseg"], "ratio": entry["ratio"]}
        for entry in text["comparisons"]
    }


TABLES: dict[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "against": against,
    "plain": plain,
    "published": published,
    "speed": speed,
}


def _interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.4f} ± {(found['high'] - found['low']) / 2:.4f}"


def _upper(sentence: str) -> str:
    return f"**{sentence}**" if sentence else ""


def main() -> None:
    """Write or check every page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    stale = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        old = page.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda m: f"{m.group(1)}{TABLES[m.group('name')]()}\n{m.group(3)}", old)
        if new != old and options.check:
            stale.append(str(page.relative_to(ROOT)))
        elif new != old:
            page.write_text(new, encoding="utf-8")
    if stale:
        sys.exit(f"not what benchmarks/results says: {', '.join(stale)}; run python benchmarks/report.py")


if __name__ == "__main__":
    main()
