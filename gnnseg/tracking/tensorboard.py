"""Curves, config and test metrics as TensorBoard reads them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from gnnseg.errors import GnnsegError
from gnnseg.files import write_text
from gnnseg.tracking.base import Array, History, Tracker, extra, folder_of, metric_scalars, scalars

PROJECTOR = """embeddings {
  tensor_name: "users"
  tensor_path: "users.tsv"
  metadata_path: "segments.tsv"
}
"""


class TensorBoard(Tracker):
    """Writes ``<run>/tensorboard``: a scalar for every number of a record, the config, the test metrics.

    Of a run with segments, the embedding projector shows users' vectors.

    The step counts epochs over both stages. A resumed run writes its curves anew from its history, so that no
    epoch stands there twice. Records are few, so they are written at once and not from a thread of their own:
    a full disk then fails the run with one line.

    Raises:
        ConfigError: If ``tensorboard`` is not installed.
    """

    def __init__(self) -> None:
        self._events = extra("tensorboard.compat.proto.event_pb2")
        self._records = extra("tensorboard.summary.writer.record_writer")
        self._summary = extra("torch.utils.tensorboard.summary")
        self._file: BinaryIO | None = None

    def start(self, folder: Path | None, config: Mapping[str, Any], history: History = ()) -> None:
        """Begin the file with the config and the records so far.

        Raises:
            ConfigError: If the run has no folder.
            GnnsegError: If it cannot be written.
        """
        self._folder = folder_of(self, folder) / "tensorboard"
        self._config = dict(flat(config))
        self._step = 0
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}"
        shutil.rmtree(self._folder, ignore_errors=True)
        try:
            self._folder.mkdir(parents=True)
            self._file = (self._folder / name).open("wb")
        except OSError as error:
            raise self._unwritable(error) from error
        self._write(file_version="brain.Event:2")
        text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
        self._write(summary=self._summary.text("config", f"```yaml\n{text}```"))
        for record in history:
            self.log(record)

    def log(self, record: Mapping[str, Any]) -> None:
        """Add a point to each curve.

        Raises:
            GnnsegError: If it cannot be written, such as on a full disk.
        """
        self._step += 1
        self._scalars(scalars(record))

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Add the test metrics, and the table of hyper-parameters that they are compared in."""
        found = metric_scalars(metrics)
        self._scalars(found)
        for summary in self._summary.hparams(self._config, found):
            self._write(summary=summary)

    def vectors(self, users: Array, segments: Sequence[str]) -> None:
        """Write the tables of the embedding projector, a point a user, coloured by segment.

        Raises:
            GnnsegError: If they cannot be written.
        """
        rows = ("\t".join(f"{value:.6g}" for value in row) for row in users.tolist())
        names = (" ".join(name.split()) for name in segments)
        write_text(self._folder / "users.tsv", "\n".join(rows) + "\n")
        write_text(self._folder / "segments.tsv", "\n".join(names) + "\n")
        write_text(self._folder / "projector_config.pbtxt", PROJECTOR)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                raise self._unwritable(error) from error

    def _scalars(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._write(summary=self._summary.scalar(name, value), step=self._step)

    def _write(self, **event: Any) -> None:
        made = self._events.Event(wall_time=time.time(), **event)
        try:
            records = self._records.RecordWriter(self._file)
            records.write(made.SerializeToString())
            records.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> GnnsegError:
        return GnnsegError(f"cannot write '{self._folder}': {error.strerror or error}")


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | float | str]]:
    """The keys of a config, such as ``encoder.dim``, with plain values: lists as JSON, None left out."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float | str):
            yield f"{prefix}{key}", value
        elif value is not None:
            yield f"{prefix}{key}", json.dumps(value)
