"""Plots of results, from their JSON alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnnseg.files import writing
from gnnseg.report.tables import main_metrics, mean_seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, GREEN, PINK = "#0072B2", "#D55E00", "#6b6b6b", "#009E73", "#CC79A7"
"""Okabe and Ito's palette, safe for colour-blind readers."""


def save_plots(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write every plot as PNG and SVG; returns the files."""
    metric = main_metrics(results, 2)[-1]
    plots = {"accuracy": accuracy(results, metric), "cost": cost(results, metric)}
    if results["command"] == "ablate":
        plots["differences"] = differences(results, metric)
    return [path for name, figure in plots.items() for path in save(figure, folder / name)]


def save(figure: Figure, path: Path) -> list[Path]:
    """Write a plot as PNG and SVG beside each other; ``path`` has no suffix."""
    files = []
    for kind in ("png", "svg"):
        file = path.with_name(f"{path.name}.{kind}")
        with writing(file) as temporary:
            figure.savefig(temporary, format=kind, dpi=150)
        files.append(file)
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


ROLES = {"global": (ORANGE, "D"), "control": (BLUE, "o"), "part": (GREEN, "s")}
"""Colour and marker of the rows of an ablation, so that nothing is told by colour alone."""


def differences(results: Mapping[str, Any], metric: str) -> Figure:
    """The full system of an ablation against each other row, with 95 % intervals; right of 0 it is better."""
    found = [c for c in results["comparisons"] if c["metric"] == metric][::-1]
    roles = {model["name"]: model["role"] for model in results["models"]}
    figure = _figure(0.34 * len(found) + 1.7)
    axes = figure.subplots()
    axes.axvline(0.0, color=GREY, linewidth=0.9, zorder=1)
    shown: set[str] = set()
    for y, row in enumerate(found):
        role = roles[row["baseline"]]
        colour, marker = ROLES[role]
        x = row["difference"]
        # rounding may put an end on the wrong side of the mean
        ends = [[max(0.0, x - row["low"])], [max(0.0, row["high"] - x)]]
        label = "_" if role in shown else {"global": "global model"}.get(role, role)
        shown.add(role)
        axes.errorbar(x, y, xerr=ends, color=colour, marker=marker, markersize=5, capsize=3, label=label)
    axes.set_yticks(range(len(found)), [row["baseline"] for row in found], parse_math=False)
    axes.set_ylim(-0.6, len(found) - 0.4)
    axes.set_xlabel(f"test {metric}: full system minus row (95 % bootstrap interval over users)")
    title = f"{results['dataset']['name']}: what the full system adds to each row"
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    if found:
        figure.legend(loc="outside lower right", ncols=3, fontsize=8, frameon=False)
    return figure


def curves(
    lines: Mapping[str, Sequence[Mapping[str, float]]], x: str, x_label: str, y_label: str, title: str
) -> Figure:
    """A line for each name through the ``mean`` of its points, with ``low`` to ``high`` shaded.

    Args:
        lines: Points by name.
        x: Key of the points' place.
        x_label: What that is.
        y_label: What ``mean`` is.
        title: Above the plot.
    """
    figure = _figure(4.2)
    axes = figure.subplots()
    looks = zip((ORANGE, BLUE, GREEN, PINK, GREY), "osD^v", strict=True)
    for (name, points), (colour, marker) in zip(lines.items(), looks, strict=False):
        places = [point[x] for point in points]
        axes.plot(places, [point["mean"] for point in points], color=colour, marker=marker, label=name)
        low, high = ([point[end] for point in points] for end in ("low", "high"))
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    axes.legend(frameon=False, fontsize=8)
    return figure


def accuracy_seconds(
    models: Sequence[Mapping[str, Any]], metric: str, published: Mapping[str, float], title: str
) -> Figure:
    """Accuracy against seconds to fit of models of several libraries, beside published figures.

    Args:
        models: Entries of ``models``; those without ``ours: false`` are ours.
        metric: Their metric, such as ``ndcg@20``.
        published: Figures that others report, each a dashed line.
        title: Above the plot.
    """
    figure = _figure(5.0)
    axes = figure.subplots()
    points = [(max(mean_seconds(m, "fit"), 1e-2), float(m["metrics"][metric]["mean"])) for m in models]
    for ours, colour, label in ((True, ORANGE, "gnnseg"), (False, BLUE, "other libraries")):
        some = [point for point, m in zip(points, models, strict=True) if m.get("ours", True) is ours]
        if some:
            x, y = zip(*some, strict=True)
            axes.scatter(x, y, color=colour, s=40, zorder=3, label=label)
    axes.set_xscale("log")
    axes.margins(x=0.3, y=0.1)
    for place, value in enumerate(published.values()):
        label = "_" if place else "published, seconds not known"
        axes.axhline(value, color=GREY, linewidth=0.8, linestyle="--", zorder=1, label=label)
    axes.set_xlabel("seconds to fit (log scale; less than 0.01 at 0.01)")
    axes.set_ylabel(f"test {metric}")
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    if points:
        figure.legend(loc="outside lower right", ncols=3, fontsize=8, frameon=False)
    _label_lines(figure, published)
    _label(figure, points, [model["name"] for model in models])
    return figure


def _label_lines(figure: Figure, values: Mapping[str, float]) -> None:
    """Write names right of the axes at their lines' heights, moved down where they would overlap."""
    [axes] = figure.axes
    figure.draw_without_rendering()  # settles the limits, which pixels depend on
    height, place = 9 * figure.dpi / 72, float("inf")
    for name, value in sorted(values.items(), key=lambda pair: -pair[1]):
        y = axes.transData.transform((1, value))[1]
        place = min(y, place - height)
        axes.annotate(name, (1, value), xycoords=("axes fraction", "data"), textcoords="offset points",
                      xytext=(3, (place - y) * 72 / figure.dpi), va="center", fontsize=7, color=GREY,
                      parse_math=False)  # fmt: skip


def _label(figure: Figure, points: Sequence[tuple[float, float]], names: Sequence[str]) -> None:
    """Write names beside points, at the nearest height where they cover nothing; a line joins those moved."""
    [axes] = figure.axes
    figure.draw_without_rendering()
    height, dot = 11 * figure.dpi / 72, 4 * figure.dpi / 72
    pixels = [tuple(axes.transData.transform(point)) for point in points]
    taken = [(x - dot, y, 2 * dot) for x, y in pixels]
    steps = [sign * step * height / 4 for step in range(200) for sign in (1, -1)]
    for n in sorted(range(len(points)), key=lambda n: -points[n][1]):
        x, y = pixels[n][0] + 1.1 * dot, pixels[n][1]
        width = 5 * len(names[n]) * figure.dpi / 72
        free = (
            step
            for step in steps
            if not any(
                abs(y + step - top) < height and x < left + wide and left < x + width
                for left, top, wide in taken
            )
        )
        step = next(free, 0.0)
        taken.append((x, y + step, width))
        line = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            names[n],
            points[n],
            xytext=(8, step * 72 / figure.dpi - 3),
            textcoords="offset points",
            fontsize=8,
            parse_math=False,
            arrowprops=line if abs(step) > height / 2 else None,
        )


def _figure(height: float) -> Figure:
    """A figure without a window, whatever the machine's display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
