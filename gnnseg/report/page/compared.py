"""Two runs side by side: metrics on the same users, and where the users of each segment went."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnnseg.report.page.inputs import Inputs
from gnnseg.report.page.judged import Judged, interval, metrics_of
from gnnseg.segments.drift import drift


def compared(inputs: Inputs, judged: Judged | None, other: Inputs) -> dict[str, Any]:
    """What changed from ``inputs`` to ``other``; counts below 10 users are None."""
    found: dict[str, Any] = {
        "name": other.saved.config.name,
        "folder": other.saved.folder.name,
        "figures": other.metrics.get("test_intervals", {}),
        "test": other.metrics.get("test", {}),
        "quality": other.segments.get("quality", {}),
        "segments": [
            {
                "segment": s["segment"],
                "name": s.get("name", ""),
                "users": None if s.get("hidden") else s["users"],
            }
            for s in other.segments.get("segments", [])
        ],
        "difference": _difference(inputs, judged, other),
        "drift": None,
    }
    before, after = inputs.saved.memberships, other.saved.memberships
    if before is not None and after is not None:
        moved = drift(before.numpy(), after.numpy(), inputs.saved.users.ids, other.saved.users.ids)
        about = moved.as_dict()
        del about["transitions"]
        found["drift"] = about
    return found


def _difference(inputs: Inputs, judged: Judged | None, other: Inputs) -> dict[str, Any] | None:
    """Other minus this, user by user, where both were trained and tested on the same data."""
    if judged is None or inputs.data is None or other.data is None:
        return None
    if inputs.data.dataset.digest != other.data.dataset.digest or (inputs.data.seen != other.data.seen).nnz:
        return None
    theirs = metrics_of(other, other.saved.scorer, judged.users)
    shared = [name for name in judged.served if name in theirs]
    values = {name: np.asarray(theirs[name] - judged.served[name]) for name in shared}
    return {name: interval(value) for name, value in values.items()}
