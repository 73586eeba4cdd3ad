"""The page of a benchmark or an ablation, from its ``results.json`` alone."""

from __future__ import annotations

from typing import Any

from gnnseg.disclosure import MIN_USERS
from gnnseg.report.ablation import group_rows, segments_verdict, worst_segment
from gnnseg.report.page.html import page
from gnnseg.report.tables import Results, main_metrics, mean_seconds, peak_memory, verdict

RESULT_SCRIPTS = ("core.js", "charts.js", "theme.js", "results.js")


def results_page(results: Results) -> str:
    """One self-contained page: leaderboard with intervals, accuracy against seconds, paired differences.

    Args:
        results: Content of ``results.json``.
    """
    data = results_data(results)
    title = f"{data['results']['title']} · {results['dataset']['name']} · gnnseg"
    return page(title, data, RESULT_SCRIPTS)


def results_data(results: Results) -> dict[str, Any]:
    """All that the page shows, ready for JSON."""
    metrics, metric = main_metrics(results, 99), main_metrics(results, 2)[-1]
    ablation = results["command"] == "ablate"
    verdicts = [verdict(results, metric)]
    if ablation:
        verdicts = [segments_verdict(results, metric), worst_segment(results)]
    environment = results.get("environment", {})
    about = [f"{name} {environment[name]}" for name in ("gnnseg", "torch") if name in environment]
    about += [environment[name] for name in ("cpu", "started") if name in environment]
    shown = {
        "title": "Ablation" if ablation else "Benchmark",
        "dataset": results["dataset"],
        "split": results["protocol"].get("split", {}),
        "metrics": metrics,
        "metric": metric,
        "seeds": len(results["models"][0]["runs"]),
        "models": [_model(model) for model in results["models"]],
        "comparisons": [c for c in results["comparisons"] if c["metric"] in metrics],
        "verdicts": [text for text in verdicts if text],
        "groups": dict(zip(("header", "rows"), group_rows(results), strict=True)) if ablation else None,
        "made": " · ".join(about),
    }
    return {"format": 1, "run": {"min_users": MIN_USERS}, "segments": [], "results": shown}


def _model(model: Results) -> dict[str, Any]:
    return {
        "name": model["name"],
        "role": model.get("role", ""),
        "metrics": model["metrics"],
        "fit": mean_seconds(model, "fit"),
        "evaluate": mean_seconds(model, "evaluate"),
        "memory": peak_memory(model),
        "parameters": model["parameters"]["total"],
    }
