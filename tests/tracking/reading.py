"""What TensorBoard itself finds in the folder of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def read(run: Path) -> Any:
    """All of it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(run / "tensorboard")).Reload()


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of each scalar."""
    found = read(run)
    return {name: [(e.step, e.value) for e in found.Scalars(name)] for name in found.Tags()["scalars"]}
