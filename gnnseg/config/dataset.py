"""A dataset as YAML: where it comes from, what is kept, how it is divided and what is measured."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from gnnseg.components import Spec, describe
from gnnseg.data import SOURCES, SPLITS, Filters
from gnnseg.errors import ConfigError, unknown
from gnnseg.files import checked_name, configs_folder, dataset_folder
from gnnseg.metrics import parse

MOST_BYTES = 2**22
"""Of a YAML file."""

MOST_NODES = 100_000
"""Keys, values and lists of a YAML file."""


class DatasetConfig(BaseModel):
    """Where data come from, what is kept, how they are divided and what is measured.

    Attributes:
        name: What tables and file names call it.
        folder: What relative paths of the source are relative to; the YAML file's own folder.
        source: A component of ``gnnseg.data.sources``.
        filters: What is kept.
        split: A component of ``gnnseg.data.splits``.
        metrics: Names such as ``ndcg@10``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    folder: str
    source: dict[str, Any]
    filters: Filters = Filters()
    split: dict[str, Any] = {"name": "Random"}
    metrics: tuple[str, ...] = ("recall@10", "ndcg@10", "recall@20", "ndcg@20")

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        return checked_name(name)

    @field_validator("source", "split", mode="before")
    @classmethod
    def _resolve(cls, spec: Spec, info: Any) -> dict[str, Any]:
        return (SOURCES if info.field_name == "source" else SPLITS).resolve(spec)

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        if not metrics:
            raise ConfigError("'metrics' must name at least one, such as ndcg@10")
        for metric in metrics:
            parse(metric)
        return metrics


def load_dataset_config(name: str | Path, folder: Path | None = None) -> DatasetConfig:
    """Read a dataset: a shipped name, or a YAML file relative to ``folder``.

    Raises:
        ConfigError: If there is no such dataset, with the nearest name.
    """
    path, shipped = _find(name, folder)
    content = read_yaml(path)
    data_folder = dataset_folder(path.stem) if shipped else path.parent.absolute()
    content = {"name": path.stem, "folder": str(data_folder), **content}
    config: DatasetConfig = validated(DatasetConfig, content, f"{name}: ")
    return config


def dataset_notes(name: str | Path) -> str:
    """What the comment at the top of a dataset's YAML file says: its terms, and how to get its files.

    Raises:
        ConfigError: If there is no such dataset, with the nearest name.
    """
    lines = _find(name, None)[0].read_text(encoding="utf-8").splitlines()
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return " ".join(line.lstrip("# ").rstrip() for line in comment)


def _find(name: str | Path, folder: Path | None) -> tuple[Path, bool]:
    """The YAML file of a dataset, and whether it is a shipped one."""
    if str(name) in shipped_datasets():
        return configs_folder() / "datasets" / f"{name}.yaml", True
    path = (folder or Path.cwd()) / name
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        raise ConfigError(unknown("dataset", name, shipped_datasets()) + " (or the path of a YAML file)")
    return path, False


def shipped_datasets() -> list[str]:
    """Names of the datasets that come with the package."""
    return sorted(path.stem for path in (configs_folder() / "datasets").glob("*.yaml"))


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: If it cannot be read or is no mapping.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"'{path}' must have at most {MOST_BYTES} bytes (got {path.stat().st_size})")
        content = _loaded(path.read_text(encoding="utf-8"))
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError(f"cannot read '{path}': it is nested too deeply") from None
    except (OSError, ValueError, yaml.YAMLError) as error:  # dates and numbers that are none are ValueErrors
        reason = " ".join(str(error).split())
        raise ConfigError(f"cannot read '{path}': {reason}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"'{path}' must hold a mapping of keys to values (got {type(content).__name__})")
    return {str(key): value for key, value in content.items()}


def _loaded(text: str) -> Any:
    """What :func:`yaml.safe_load` gives, if it is not larger than the text looks.

    Raises:
        ValueError: If aliases multiply it beyond measure, as in the "billion laughs".
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is not None and _num_nodes(node, {}) > MOST_NODES:
            raise ValueError(f"it must have at most {MOST_NODES} values, aliases followed")
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _num_nodes(node: yaml.Node, known: dict[int, int]) -> int:
    """Nodes under one, those of an alias each time; one that holds itself has no end."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST_NODES + 1
        inner = (
            node.value if isinstance(node, yaml.SequenceNode) else [n for pair in node.value for n in pair]
        )
        known[id(node)] = 1 + sum(_num_nodes(n, known) for n in inner)
    return known[id(node)]


def validated(model: type[Any], content: Mapping[str, Any], where: str) -> Any:
    """A pydantic model of some content.

    Raises:
        ConfigError: For what is wrong with it, in one line, after ``where`` it was read.
    """
    try:
        return model(**content)
    except ValidationError as error:
        raise ConfigError(describe(error, where, model.model_fields)) from None
