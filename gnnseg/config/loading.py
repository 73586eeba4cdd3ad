"""Experiments read from files by path or name, overridden on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gnnseg.config.dataset import DatasetConfig, load_dataset_config, read_yaml, validated
from gnnseg.config.experiment import Config
from gnnseg.errors import ConfigError, unknown
from gnnseg.files import configs_folder
from gnnseg.overrides import override

DEFAULT_MODEL = "full"
"""``movielens`` as the name of a config means ``movielens/full``."""


def load_config(
    source: str | Path | Mapping[str, Any],
    overrides: Iterable[str] = (),
    **changes: Any,
) -> Config:
    """Read an experiment.

    Args:
        source: A path, the name of a shipped config, or the content itself.
        overrides: ``key.key=value`` each, the value in YAML.
        changes: Top-level keys to replace, such as ``seed=1``.

    Raises:
        ConfigError: In one line, with the nearest name where one is unknown.

    Published figures belong to a dataset: ``reference`` is left out where overrides or changes give another.
    """
    if isinstance(source, Mapping):
        content, folder, where = dict(source), Path.cwd(), "config"
    else:
        path = find_config(source)
        content, folder, where = read_yaml(path), path.parent.absolute(), str(source)
        content.setdefault("name", path.stem)
    content.setdefault("name", "run")
    own = content.get("dataset")
    for text in overrides:
        if text.startswith("dataset.") and isinstance(content.get("dataset"), str):
            content["dataset"] = load_dataset_config(content["dataset"], folder).model_dump()
        override(content, text)
        if text.startswith("dataset=") and isinstance(content["dataset"], str):
            content["dataset"] = load_dataset_config(content["dataset"]).model_dump()
    content.update(changes)
    if "dataset" in content:
        content["dataset"] = _dataset(content["dataset"], folder)
    config: Config = validated(Config, content, f"{where}: ")
    if config.reference is not None and not _same_data(_dataset(own, folder), config.dataset):
        return config.model_copy(update={"reference": None})
    return config


def _dataset(spec: Any, folder: Path) -> Any:
    """The content of a dataset's config, named or given."""
    if isinstance(spec, str):
        return load_dataset_config(spec, folder).model_dump()
    return {"name": "data", "folder": str(folder), **spec} if isinstance(spec, dict) else spec


def _same_data(own: Any, dataset: DatasetConfig) -> bool:
    """Whether a config's own dataset is the one in use, whatever is measured on it."""
    own = validated(DatasetConfig, own, "dataset: ") if isinstance(own, dict) else None
    return bool(own == dataset.model_copy(update={"metrics": getattr(own, "metrics", ())}))


def shipped_configs() -> list[str]:
    """Names of the experiments that come with the package, ``dataset/model``."""
    found = configs_folder().glob("*/*.yaml")
    return sorted(f"{p.parent.name}/{p.stem}" for p in found if p.parent.name != "datasets")


def find_config(name: str | Path) -> Path:
    """The file of an experiment: a path, or the name of a shipped one.

    Raises:
        ConfigError: If there is none, with the nearest name.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ConfigError(f"there is no config '{name}'; `gnnseg show configs` lists the shipped ones")
        return path
    shipped = shipped_configs()
    for candidate in (str(name), f"{name}/{DEFAULT_MODEL}"):
        if candidate in shipped:
            return configs_folder() / f"{candidate}.yaml"
    inside = [candidate for candidate in shipped if candidate.startswith(f"{name}/")]
    if inside:
        raise ConfigError(f"'{name}' has no config '{DEFAULT_MODEL}'; choose one of {', '.join(inside)}")
    known = [*shipped, *{candidate.split("/")[0] for candidate in shipped}]
    raise ConfigError(unknown("config", name, known) + " (or the path of a YAML file)")
