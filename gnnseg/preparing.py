"""``gnnseg data prepare``: a dataset's tables made into a folder, whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import yaml

from gnnseg.config import DatasetConfig
from gnnseg.data import SOURCES
from gnnseg.data.preparation import prepare_tables
from gnnseg.data.preparation.folder import ABOUT, read_about, write_about
from gnnseg.data.sources.tables import Tables
from gnnseg.errors import ConfigError, DataError, differences
from gnnseg.files import write_text
from gnnseg.manifest import seal
from gnnseg.run_folder import unfinished

DATASET = "dataset.yaml"
"""Of the folder, to train on."""


def prepare_folder(config: DatasetConfig, out: Path) -> dict[str, Any]:
    """Prepare a dataset's tables apart from training; a folder of the same settings is left as it is.

    Args:
        config: Its source must read tables; its filters are applied, its split and metrics handed on.
        out: The folder. It gets its name when everything is in it.

    Returns:
        What ``prepared.json`` says: numbers of users, items and interactions, and the settings.

    Raises:
        ConfigError: If the source reads no tables.
        DataError: If the tables are bad, or ``out`` was prepared with other settings.
        CheckpointError: If ``out`` exists, cannot be written or is being written.
    """
    source = SOURCES.create(config.source, Path(config.folder))
    if not isinstance(source, Tables):
        raise ConfigError(f"'source' must read tables to be prepared (got {config.source['name']})")
    settings = {**config.model_dump(mode="json"), "files": {str(p): _state(p) for p in source.files()}}
    if (out / ABOUT).is_file():
        return _the_same(out, settings)
    with unfinished(out) as partial:
        try:
            sizes = prepare_tables(source, config.filters, config.name, partial)
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise DataError(f"cannot write '{out}': {reason}") from None
        write_text(partial / DATASET, _dataset(config))
        write_about(partial, sizes, settings)
        seal(partial)
    return read_about(out)


def _the_same(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What a folder says of itself, if it was prepared with these settings."""
    about = read_about(out)
    if changed := differences(about["settings"], settings):
        raise DataError(
            f"'{out}' was prepared with other settings ({changed}); choose another --out or remove it"
        )
    return about


def _state(path: Path) -> list[int]:
    """Size and time of change of a file."""
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror}") from None
    return [found.st_size, found.st_mtime_ns]


def _dataset(config: DatasetConfig) -> str:
    """A dataset's YAML beside the files: filters have been applied, the rest is as it was."""
    source = {"name": "PreparedFolder", "path": "."}
    rest = {"split": config.split, "metrics": list(config.metrics)}
    return yaml.safe_dump({"name": config.name, "source": source, **rest}, sort_keys=False)
