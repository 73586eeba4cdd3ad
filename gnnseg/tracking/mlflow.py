"""Curves, config and test metrics for MLflow."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gnnseg.errors import GnnsegError
from gnnseg.files import write_text
from gnnseg.tracking.base import History, Tracker, extra, folder_of, metric_scalars, scalars
from gnnseg.tracking.tensorboard import flat

PARAMETERS_AT_ONCE = 100
"""MLflow's limit of one call."""

LONGEST = 500
"""Characters of a parameter that every version keeps."""


class MLflow(Tracker):
    """Makes a run of MLflow, by default in ``<run>/mlflow/mlflow.db``.

    ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` hold where they are set. MLflow's names have no
    ``@``, so ``ndcg@10`` is ``ndcg_at_10`` there. The step counts epochs over both stages. A resumed run
    takes the place of the one that was interrupted, with its history: no epoch stands there twice.

    Raises:
        ConfigError: If ``mlflow`` is not installed.
    """

    def __init__(self) -> None:
        self._mlflow = extra("mlflow", "mlflow")
        self._entities = extra("mlflow.entities", "mlflow")
        self._client: Any = None
        for name in ("mlflow", "alembic"):  # which tell of the tables they make
            logging.getLogger(name).setLevel(logging.WARNING)

    def start(self, folder: Path | None, config: Mapping[str, Any], history: History = ()) -> None:
        """Open the run and log the records so far.

        Raises:
            ConfigError: If the run has no folder.
            GnnsegError: If the store cannot be written.
        """
        own = folder_of(self, folder) / "mlflow"
        self._finished, self._step = False, 0
        with self._telling():
            own.mkdir(exist_ok=True)
            uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(own / 'mlflow.db').absolute()}"
            client = self._mlflow.MlflowClient(tracking_uri=uri)
            self._forget(client, own / "run_id")
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "gnnseg")
            known = client.get_experiment_by_name(name)
            experiment = client.create_experiment(name) if known is None else known.experiment_id
            self._id = client.create_run(experiment, run_name=str(config.get("name", "run"))).info.run_id
            self._client = client
            write_text(own / "run_id", self._id)
            values = [self._entities.Param(key, str(value)[:LONGEST]) for key, value in flat(config)]
            for first in range(0, len(values), PARAMETERS_AT_ONCE):
                client.log_batch(self._id, params=values[first : first + PARAMETERS_AT_ONCE])
        for record in history:
            self.log(record)

    def log(self, record: Mapping[str, Any]) -> None:
        """Add a point to each curve.

        Raises:
            GnnsegError: If the store cannot be written.
        """
        self._step += 1
        self._write(scalars(record))

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Add the test metrics."""
        self._write(metric_scalars(metrics))
        self._finished = True

    def close(self) -> None:
        """End the run, as failed if it was not finished."""
        if self._client is not None:
            client, self._client = self._client, None
            with self._telling():
                client.set_terminated(self._id, "FINISHED" if self._finished else "FAILED")

    def _write(self, values: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        found = [
            self._entities.Metric(name.replace("@", "_at_"), value, now, self._step)
            for name, value in values.items()
        ]
        with self._telling():
            self._client.log_batch(self._id, metrics=found)

    def _forget(self, client: Any, file: Path) -> None:
        """Delete the run that an interrupted training left."""
        if file.is_file():
            with contextlib.suppress(self._mlflow.MlflowException):  # of another store, or gone already
                client.delete_run(file.read_text(encoding="utf-8"))

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except (self._mlflow.MlflowException, OSError) as error:
            raise GnnsegError(f"mlflow cannot write: {' '.join(str(error).split())[:300]}") from error
