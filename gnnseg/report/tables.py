"""Results of a benchmark as Markdown and CSV, from ``results.json`` alone."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

Results = Mapping[str, Any]


def mean_seconds(model: Mapping[str, Any], step: str) -> float:
    """Mean over seeds of one step, in seconds."""
    runs = model["runs"]
    return float(sum(run["seconds"][step] for run in runs) / len(runs))


def peak_memory(model: Mapping[str, Any]) -> float:
    """The largest peak over seeds, in MB."""
    return float(max(run["peak_memory_mb"] for run in model["runs"]))


def main_metrics(results: Results, count: int = 4) -> list[str]:
    """The metrics a table shows."""
    return list(results["protocol"]["metrics"][:count])


def best_baseline(results: Results, metric: str) -> Mapping[str, Any] | None:
    """The best of all models but the last on one metric; None where there is only one."""
    others = results["models"][:-1]
    return max(others, key=lambda model: model["metrics"][metric]["mean"]) if others else None


def model_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of models: each metric with its interval, published figures, costs."""
    metrics = main_metrics(results)
    published = any(reference(model) for model in results["models"])
    header = ["model", *metrics, *["published"] * published, "fit s", "evaluate s", "peak MB", "parameters"]
    rows = []
    for model in results["models"]:
        cells = [model["name"]]
        for metric in metrics:
            found = model["metrics"][metric]
            cells.append(f"{found['mean']:.4f} ({found['low']:.4f}-{found['high']:.4f})")
        if published:
            figures = reference(model).get("metrics", {})
            cells.append(", ".join(f"{metric} {value:.4f}" for metric, value in figures.items()))
        cells += [f"{mean_seconds(model, 'fit'):.1f}", f"{mean_seconds(model, 'evaluate'):.1f}"]
        cells += [f"{peak_memory(model):.0f}", f"{model['parameters']['total']:,}"]
        rows.append(cells)
    return header, rows


def reference(model: Mapping[str, Any]) -> Mapping[str, Any]:
    """Published figures of a model and their source; empty where its config has none."""
    return model.get("config", {}).get("reference") or {}


def compact_rows(results: Results, metric: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table for 80 columns: the interval of one metric only, the main costs."""
    shown = [m for m in main_metrics(results, 3) if m != metric]
    header = ["model", metric, "95 %", *shown, "fit s", "MB"]
    rows = []
    for model in results["models"]:
        found = model["metrics"][metric]
        cells = [model["name"], f"{found['mean']:.4f}", f"±{(found['high'] - found['low']) / 2:.4f}"]
        cells += [f"{model['metrics'][m]['mean']:.4f}" for m in shown]
        rows.append([*cells, f"{mean_seconds(model, 'fit'):.1f}", f"{peak_memory(model):.0f}"])
    return header, rows


def comparison_rows(results: Results, metric: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the paired comparisons of the last model on one metric."""
    header = ["against", metric, "relative", "95 % interval", "p (Holm)", "users"]
    rows = [
        [
            c["baseline"],
            f"{c['difference']:+.4f}",
            relative(c["relative"]),
            f"{c['low']:+.4f} to {c['high']:+.4f}",
            f"{c['p_adjusted']:.2g}",
            str(c["users"]),
        ]
        for c in results["comparisons"]
        if c["metric"] == metric
    ]
    return header, rows


def verdict(results: Results, metric: str) -> str:
    """One sentence on the last model against the best of the others."""
    best = best_baseline(results, metric)
    if best is None:
        return ""
    last = results["models"][-1]["name"]
    row = next(c for c in results["comparisons"] if c["metric"] == metric and c["baseline"] == best["name"])
    word = "ties with"
    if row["p_adjusted"] < 0.05:
        word = "beats" if row["difference"] > 0 else "does not beat"
    of = f"{last} {word} {best['name']}, the best of the others, on {metric}"
    figures = [relative(row["relative"]), f"(p {row['p_adjusted']:.2g})"]
    return f"{of}: {' '.join(filter(None, figures))}."


def relative(value: float | None, digits: int = 1) -> str:
    """``+1.2%``; nothing where there is no such number, which is null in JSON and NaN before."""
    return "" if value is None or math.isnan(value) else f"{value:+.{digits}%}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    return "\n".join(lines)


def results_markdown(results: Results) -> str:
    """The whole of ``results.md``."""
    data = results["dataset"]
    metrics = main_metrics(results, 2)
    chosen = metrics[-1]
    seeds = len(results["models"][0]["runs"])
    sizes = f"{data['users']:,} users, {data['items']:,} items, {data['train']:,} training interactions"
    parts = [
        f"# {data['name']}",
        f"{sizes}; {seeds} seed(s); 95 % bootstrap intervals over users.",
        markdown(*model_rows(results)),
    ]
    sources = [f"* {m['name']}: {reference(m)['source']}" for m in results["models"] if reference(m)]
    if sources:
        parts.append("Published in:\n\n" + "\n".join(sources))
    if results["comparisons"]:
        last = results["models"][-1]["name"]
        parts += [f"## {last} against the others", markdown(*comparison_rows(results, chosen))]
        parts += [verdict(results, chosen)]
    return "\n\n".join(parts) + "\n"


def results_csv(results: Results) -> str:
    """The whole of ``results.csv``: a row a model, seed and metric."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "seed", "metric", "value", "fit_seconds", "evaluate_seconds", "peak_memory_mb"])
    for model in results["models"]:
        for run in model["runs"]:
            costs = [run["seconds"]["fit"], run["seconds"]["evaluate"], run["peak_memory_mb"]]
            for metric, value in run["metrics"].items():
                writer.writerow([model["name"], run["seed"], metric, value, *costs])
    return text.getvalue()
