"""What a run tells while it runs: the silent base, JSON lines, TensorBoard, Weights & Biases."""

from __future__ import annotations

from gnnseg.tracking.base import Clock, JsonLines, Task, Tracker, Trackers, follow
from gnnseg.tracking.tensorboard import TensorBoard
from gnnseg.tracking.wandb import WandB

TRACKERS: dict[str, type[TensorBoard | WandB]] = {"tensorboard": TensorBoard, "wandb": WandB}
"""By the name that ``gnnseg train --track`` knows them by."""

__all__ = [
    "TRACKERS",
    "Clock",
    "JsonLines",
    "Task",
    "TensorBoard",
    "Tracker",
    "Trackers",
    "WandB",
    "follow",
]
