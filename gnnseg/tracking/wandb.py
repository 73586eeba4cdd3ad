"""Curves, config and test metrics for Weights & Biases."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnnseg.errors import GnnsegError
from gnnseg.tracking.base import History, Tracker, extra, folder_of, metric_scalars, scalars

SECONDS_TO_CONNECT = 20.0

logger = logging.getLogger(__name__)


class WandB(Tracker):
    """Makes a run of Weights & Biases, its files in ``<run>/wandb``.

    The step counts epochs over both stages. ``WANDB_MODE``, ``WANDB_PROJECT`` and the other variables of the
    library hold; without ``WANDB_MODE``, a run that cannot be sent is kept offline, to send later with
    ``wandb sync``. A resumed run keeps its identity, and epochs that the server has are not sent again.

    Raises:
        ConfigError: If ``wandb`` is not installed.
    """

    def __init__(self) -> None:
        self._wandb = extra("wandb")
        self._run: Any = None

    def start(self, folder: Path | None, config: Mapping[str, Any], history: History = ()) -> None:
        """Open the run and log the records so far.

        Raises:
            ConfigError: If the run has no folder.
            GnnsegError: If ``WANDB_MODE`` asks for what cannot be had.
        """
        folder = folder_of(self, folder)
        identity = _identity(folder / "wandb")
        shutil.rmtree(folder / "wandb", ignore_errors=True)
        self._finished = False
        self._run = self._open(folder, config, identity)
        self._step, self._known = 0, int(self._run.step) if history else 0
        for record in history:
            self.log(record)

    def log(self, record: Mapping[str, Any]) -> None:
        """Add a point to each curve, unless the server has it from before the run was interrupted."""
        self._step += 1
        if self._step >= self._known:
            self._run.log(scalars(record), step=self._step)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Make the test metrics the run's summary."""
        self._run.summary.update(metric_scalars(metrics))
        self._finished = True

    def close(self) -> None:
        """Send what is left and end the run, as failed if it was not finished."""
        if self._run is not None:
            run, self._run = self._run, None
            run.finish(exit_code=0 if self._finished else 1)

    def _open(self, folder: Path, config: Mapping[str, Any], identity: str | None) -> Any:
        try:
            return self._init(folder, config, identity)
        except (self._wandb.errors.Error, ValueError) as error:  # a wrong setting is a ValueError
            reason = " ".join(str(error).split())
        if mode := os.environ.get("WANDB_MODE"):
            raise GnnsegError(f"wandb cannot start (WANDB_MODE={mode}): {reason}; try WANDB_MODE=offline")
        logger.warning("wandb keeps this run offline, to send later with 'wandb sync': %s", reason)
        shutil.rmtree(folder / "wandb", ignore_errors=True)
        return self._init(folder, config, identity, mode="offline")

    def _init(self, folder: Path, config: Mapping[str, Any], identity: str | None, **options: str) -> Any:
        # silent also means that it never stops to ask for a key
        quiet = self._wandb.Settings(silent=True, console="off", init_timeout=SECONDS_TO_CONNECT)
        self._wandb.setup(settings=quiet)
        if identity is not None:
            options |= {"id": identity, "resume": "allow"}
        return self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "gnnseg"),
            name=config.get("name"),
            config=dict(config),
            dir=str(folder),
            settings=quiet,
            reinit="create_new",
            **options,
        )


def _identity(folder: Path) -> str | None:
    """Of the run that an interrupted training left in ``folder``, as in ``run-20261231_235959-1a2b3c4d``."""
    found = sorted(path.name.removeprefix("offline-") for path in folder.glob("*run-*-*"))
    return found[-1].split("-", 2)[2] if found else None
