"""What a run tells while it runs: the silent base, JSON lines, TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

from gnnseg.tracking.base import Clock, JsonLines, Task, Tracker, Trackers, follow
from gnnseg.tracking.mlflow import MLflow
from gnnseg.tracking.tensorboard import TensorBoard
from gnnseg.tracking.wandb import WandB

TRACKERS: dict[str, type[TensorBoard | WandB | MLflow]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "mlflow": MLflow,
}
"""By the name that ``gnnseg train --track`` knows them by."""

__all__ = [
    "TRACKERS",
    "Clock",
    "JsonLines",
    "MLflow",
    "Task",
    "TensorBoard",
    "Tracker",
    "Trackers",
    "WandB",
    "follow",
]
