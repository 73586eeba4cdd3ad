"""What a run says of items and users that were kept out of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def cold_lines(metrics: Mapping[str, Any]) -> list[str]:
    """Lines for the terminal from the content of ``metrics.json``; none where nothing was kept out.

    Figures are those of the first metric.
    """
    lines = []
    items = metrics.get("cold_items") or {}
    names = {"cold": "cold items among themselves", "cold_in_all": "cold items in the whole catalogue"}
    for kind, name in {**names, "warm": "known items among themselves"}.items():
        if kind in items:
            metric, found = next(iter(items[kind].items()))
            lines.append(f"{name}: {metric} {_interval(found)}")
    for length, found in (metrics.get("cold_users") or {}).items():
        kinds = [kind for kind in ("by_history", "with_popularity", "with_groups") if kind in found]
        metric = next(iter(found[kinds[0]]))
        told = ", ".join(f"{kind.replace('_', ' ')} {_interval(found[kind][metric])}" for kind in kinds)
        lines.append(f"new users, {length} items known: {metric} {told}")
    return lines


def _interval(found: Mapping[str, float]) -> str:
    return f"{found['mean']:.4f} ({found['low']:.4f} to {found['high']:.4f})"
