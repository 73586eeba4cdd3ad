"""Tables and the verdict of an ablation, from its ``results.json`` alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gnnseg.disclosure import MIN_USERS
from gnnseg.report.tables import Results, markdown, mean_seconds, relative

LEVEL = 0.05
"""Of every test that the verdict looks at."""


def ablation_rows(results: Results, metric: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows: each row of the ablation, and the full system against it."""
    header = ["row", "kind", metric, "full is", "95 % (%)", "p (Holm)", "fit s"]
    against = {c["baseline"]: c for c in results["comparisons"] if c["metric"] == metric}
    rows = []
    for model in results["models"]:
        found, compared = model["metrics"][metric], against.get(model["name"])
        cells = [model["name"], model["role"], f"{found['mean']:.4f}"]
        if compared is None:
            cells += ["", "", ""]
        else:
            cells += [relative(compared["relative"], 2), _interval(compared), f"{compared['p_adjusted']:.2g}"]
        rows.append([*cells, f"{mean_seconds(model, 'fit'):.1f}"])
    return header, rows


def group_rows(results: Results) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the full system against the global model by length of history and by segment."""
    header = ["users with", "users", "global", "full", "full is", "95 % (%)", "p"]
    names = [(_history(group), group) for group in results["histories"]]
    names += [(f"segment {group['segment']}", group) for group in results["segments"]]
    rows = []
    for name, group in names:
        if not group["users"]:
            rows.append([name, f"<{MIN_USERS}" if group["users"] is None else "0", "", "", "", "", ""])
            continue
        means = [f"{group[key]:.4f}" for key in ("global", "full")]
        tested = [relative(group["relative"], 2), _interval(group), f"{group['p']:.2g}"]
        rows.append([name, str(group["users"]), *means, *tested])
    return header, rows


def segments_verdict(results: Results, metric: str) -> str:
    """Whether segments help: above the global model and above every control, significantly.

    Served are segments only as far as validation found that they help.

    Args:
        results: Content of ``results.json`` of an ablation.
        metric: What to judge by.
    """
    found = {c["baseline"]: c for c in results["comparisons"] if c["metric"] == metric}
    overall = found["global"]
    controls = [m["name"] for m in results["models"] if m["role"] == "control"]
    beaten = [name for name in controls if found[name]["difference"] > 0 and _significant(found[name])]
    figures = gain(overall).removesuffix(")") + f", p {overall['p_adjusted']:.2g})"
    if not (overall["difference"] > 0 and _significant(overall)):
        return f"Segments do not help here: {figures} against the global model."
    if not controls:
        return f"Segments are above the global model here: {figures}, but no control was fitted."
    if len(beaten) == len(controls):
        names = ", ".join(controls)
        return f"Segments help here: {figures} against the global model, and above every control ({names})."
    left = ", ".join(name for name in controls if name not in beaten)
    return (
        f"Segments cannot be told to help here: {figures} against the global model, "
        f"but not significantly above {left}."
    )


def local_verdict(local: Mapping[str, Any]) -> str:
    """Whether the local model of a run helps, on users of validation that its gates were not chosen on.

    That it is the segments which help, and not one more model in the sum, only an ablation can tell.
    """
    ends = f"{relative(local['low'], 2)} to {relative(local['high'], 2)}"
    found = f"{relative(local['relative'], 2)} ({ends}) in validation {local['metric']}"
    if local["served"] == "local":
        how = "helps" if local["low"] > 0 else "is served, though its gain may be none"
        return f"A model for each segment {how}: {found}; `gnnseg ablate` tells whether segments are why."
    return f"Segments do not help here: {found}; served: the global model."


def worst_segment(results: Results) -> str:
    """Gains and harms by segment, and the gap between the best and the worst segment of both models."""
    groups = [g for g in results["segments"] if (g["users"] or 0) >= MIN_USERS and _known(g["relative"])]
    if not groups:
        return ""
    worst = min(groups, key=lambda group: group["relative"])
    gaps = [max(g[key] for g in groups) - min(g[key] for g in groups) for key in ("global", "full")]
    return (
        f"Least gain: segment {worst['segment']}, {gain(worst)}. "
        f"Gap between the best and the worst segment: {gaps[0]:.4f} global, {gaps[1]:.4f} full."
    )


def ablation_markdown(results: Results, metric: str) -> str:
    """What an ablation adds to ``results.md``."""
    rows = [f"* **{m['name']}** ({m['role']}): {m['about']}" for m in results["models"]]
    parts = [
        "## What segments bring",
        segments_verdict(results, metric),
        markdown(*ablation_rows(results, metric)),
        "\n".join(rows),
        "## Who gains",
        worst_segment(results),
        markdown(*group_rows(results)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _significant(compared: Mapping[str, Any]) -> bool:
    return float(compared["p_adjusted"]) < LEVEL


def gain(compared: Mapping[str, Any]) -> str:
    """A relative difference and its interval."""
    return f"{relative(compared['relative'], 2)} (95 %: {_interval(compared)} %)"


def _interval(compared: Mapping[str, Any]) -> str:
    """The interval of a difference in per cent of what it is compared with."""
    if not compared["low"] and not compared["high"]:
        return "+0.00 to +0.00"
    if not compared["difference"] or not _known(compared["relative"]):
        return ""
    base = compared["difference"] / compared["relative"] / 100
    return f"{compared['low'] / base:+.2f} to {compared['high'] / base:+.2f}"


def _known(value: float | None) -> bool:
    """Whether there is such a number: a share of zero is NaN, and null in JSON."""
    return value is not None and math.isfinite(value)


def _history(group: Mapping[str, Any]) -> str:
    if group["to"] is None:
        return f"{group['from']} and more items"
    return "no items" if group["to"] == 0 else f"{group['from']} to {group['to']} items"
