"""Plots of a benchmark, from ``results.json`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnseg.files import writing
from gnnseg.report.tables import main_metrics, mean_seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6b6b6b"
"""Okabe and Ito's palette, safe for colour-blind readers."""


def save_plots(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write every plot as PNG and SVG; returns the files."""
    metric = main_metrics(results, 2)[-1]
    files = []
    for name, figure in (("accuracy", accuracy(results, metric)), ("cost", cost(results, metric))):
        for kind in ("png", "svg"):
            path = folder / f"{name}.{kind}"
            with writing(path) as temporary:
                figure.savefig(temporary, format=kind, dpi=150)
            files.append(path)
    return files


def accuracy(results: Mapping[str, Any], metric: str) -> Figure:
    """One bar a model with its interval."""
    figure = _figure(0.45 * len(results["models"]) + 1.4)
    axes = figure.subplots()
    models = results["models"][::-1]
    found = [model["metrics"][metric] for model in models]
    means = [f["mean"] for f in found]
    # rounding may put an end on the wrong side of the mean
    errors = [
        [max(0.0, f["mean"] - f["low"]) for f in found],
        [max(0.0, f["high"] - f["mean"]) for f in found],
    ]
    colours = [ORANGE, *[BLUE] * (len(models) - 1)]
    axes.barh(range(len(models)), means, xerr=errors, color=colours, ecolor=GREY, capsize=3, height=0.65)
    axes.set_yticks(range(len(models)), [model["name"] for model in models], parse_math=False)
    axes.set_xlabel(f"test {metric} (95 % bootstrap interval over users)")
    title = f"{results['dataset']['name']}: accuracy"
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    return figure


def cost(results: Mapping[str, Any], metric: str) -> Figure:
    """Accuracy against seconds to fit."""
    figure = _figure(4.2)
    axes = figure.subplots()
    last = results["models"][-1]["name"]
    for model in results["models"]:
        x, y = max(mean_seconds(model, "fit"), 1e-3), model["metrics"][metric]["mean"]
        ours = model["name"] == last
        axes.scatter(x, y, color=ORANGE if ours else BLUE, s=40, zorder=3)
        beside = (6, -12) if ours else (6, 4)  # apart where the last model ties with another
        axes.annotate(
            model["name"], (x, y), xytext=beside, textcoords="offset points", fontsize=8, parse_math=False
        )
    axes.set_xscale("log")
    axes.margins(x=0.25, y=0.12)
    axes.set_xlabel("seconds to fit (log scale)")
    axes.set_ylabel(f"test {metric}")
    title = f"{results['dataset']['name']}: accuracy against cost"
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    return figure


def _figure(height: float) -> Figure:
    """A figure without a window, whatever the machine's display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
