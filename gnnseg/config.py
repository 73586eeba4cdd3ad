"""Experiments as YAML: read, overridden, checked against signatures, and resolved to every default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from annotated_types import Ge, Le
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from gnnseg import space
from gnnseg.baselines import BASELINES
from gnnseg.components import Kind, Spec, describe
from gnnseg.data import SOURCES, SPLITS, Filters
from gnnseg.encoders import ENCODERS
from gnnseg.errors import ConfigError, unknown
from gnnseg.files import configs_folder, home
from gnnseg.heads import HEADS
from gnnseg.losses import LOSSES
from gnnseg.metrics import parse
from gnnseg.overrides import override, put
from gnnseg.regularizers import REGULARIZERS
from gnnseg.sampling import SAMPLERS
from gnnseg.segments import SEGMENTERS
from gnnseg.text import TEXT_ENCODERS

KINDS: dict[str, Kind[Any]] = {
    "baseline": BASELINES,
    "text": TEXT_ENCODERS,
    "encoder": ENCODERS,
    "loss": LOSSES,
    "sampler": SAMPLERS,
    "regularizers": REGULARIZERS,
    "segmenter": SEGMENTERS,
    "head": HEADS,
    "term": BASELINES,
}
"""The key of a config that names a component, or a list of them, and its kind."""

SEARCHABLE = (*KINDS, "term_weight", "train", "fine_tune")
"""The parts of a config that a search may change; the rest is data, protocol and names."""

DEFAULT_MODEL = "full"
"""``movielens`` as the name of a config means ``movielens/full``."""


class Schedule(BaseModel):
    """How one stage is trained.

    Attributes:
        epochs: At most so many passes over the training interactions.
        batch_size: Interactions a step, ``B``.
        learning_rate: Of AdamW.
        encoder_rate: In stage 2, the encoder's learning rate as a share of ``learning_rate``; 0 freezes it.
        weight_decay: Of AdamW, decoupled (arXiv 1711.05101).
        num_negatives: Items drawn for each user of a batch, ``K``; the user's pairs share them.
        evaluate_every: Epochs between two looks at validation.
        patience: Looks without a better figure after which training stops; the best state is kept.
        precision: Of the products of embeddings on CUDA, with scaled gradients for float16; elsewhere always
            float32.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: NonNegativeInt = 100
    batch_size: PositiveInt = 2048
    learning_rate: Annotated[float, Ge(0), Le(100)] = 0.01
    encoder_rate: NonNegativeFloat = 0.0
    weight_decay: NonNegativeFloat = 0.0
    num_negatives: PositiveInt = 16
    evaluate_every: PositiveInt = 5
    patience: PositiveInt = 5
    precision: Literal["float32", "bfloat16", "float16"] = "float32"


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


class Reference(BaseModel):
    """Figures that were published for this model on this dataset.

    Attributes:
        source: Where they stand, such as ``arXiv 2002.02126, table 3``.
        metrics: Figures by name of the metric, such as ``recall@20``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    metrics: dict[str, Annotated[float, Ge(0), Le(1)]]

    @field_validator("source")
    @classmethod
    def _named(cls, source: str) -> str:
        if not source.strip():
            raise ConfigError(f"'reference.source' must say where the figures stand (got {source!r})")
        return source

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: dict[str, float]) -> dict[str, float]:
        if not metrics:
            raise ConfigError("'reference.metrics' must name at least one, such as recall@20: 0.183")
        for metric in metrics:
            parse(metric)
        return metrics


class Config(BaseModel):
    """One experiment: a baseline, or an encoder with an optional text encoder, segmenter and head.

    Attributes:
        name: What tables and run folders call it.
        dataset: The data and the protocol.
        seed: Of initialisation, sampling and segments; the split has its own.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        baseline: Instead of an encoder.
        text: Item texts to features.
        encoder: Graph and features to embeddings.
        loss: What both stages minimise.
        sampler: Draws the items that observed pairs stand against, in both stages.
        regularizers: What stage 1 adds to the loss, a list.
        train: Stage 1.
        segmenter: Users to segments.
        head: Conditions embeddings on segments.
        fine_tune: Stage 2.
        term: A baseline whose scores are added to the encoder's, such as an item-item model.
        term_weight: Of its scores, in standard deviations; None to choose it on validation.
        choose_by: The validation metric that stops training and decides whether segments are served: where
            it never prefers them, the global model is kept.
        reference: Published figures to print beside ours.
        search: What ``gnnseg train --search N`` tries: for each dotted key a list of choices or a range
            (:mod:`gnnseg.space`); nothing else looks at it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    dataset: DatasetConfig
    seed: NonNegativeInt = 0
    device: str = "auto"
    baseline: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    encoder: dict[str, Any] | None = None
    loss: dict[str, Any] = {"name": "BPR"}
    sampler: dict[str, Any] = {"name": "Uniform"}
    regularizers: tuple[dict[str, Any], ...] = ()
    train: Schedule = Schedule()
    segmenter: dict[str, Any] | None = None
    head: dict[str, Any] | None = None
    fine_tune: Schedule = Schedule(epochs=50)
    term: dict[str, Any] | None = None
    term_weight: NonNegativeFloat | None = None
    choose_by: str = "ndcg@10"
    reference: Reference | None = None
    search: dict[str, Any] = {}

    @field_validator(*KINDS, mode="before")
    @classmethod
    def _resolve(cls, spec: Any, info: Any) -> Any:
        kind = KINDS[info.field_name]
        if info.field_name != "regularizers":
            return None if spec is None else kind.resolve(spec)
        if not isinstance(spec, list | tuple):
            raise ConfigError(f"'regularizers' must be a list of components (got {spec!r})")
        return tuple(kind.resolve(one) for one in spec)

    @field_validator("search", mode="before")
    @classmethod
    def _forms(cls, search: object) -> dict[str, Any]:
        return space.resolve({} if search is None else search, SEARCHABLE)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        parse(self.choose_by)
        if (self.baseline is None) == (self.encoder is None):
            raise ConfigError("a config needs either 'encoder' or 'baseline'")
        if self.baseline is not None and (self.text or self.segmenter or self.head or self.regularizers):
            raise ConfigError("a 'baseline' takes no text, regularizers, segmenter or head")
        if (self.segmenter is None) != (self.head is None):
            raise ConfigError("'segmenter' and 'head' belong together; give both or neither")
        for key in ("text", "loss", "segmenter", "term"):
            spec = getattr(self, key)
            if spec is not None:
                KINDS[key].create(spec)
        for key, form in self.search.items():
            for value in space.ends(form):
                self.with_settings({key: value})
        if self.regularizers and self.encoder is not None:
            encoder = ENCODERS.create(self.encoder, 1, 1)
            for spec in self.regularizers:
                REGULARIZERS.create(spec).check(encoder)
        return self

    def with_settings(self, settings: Mapping[str, Any]) -> Config:
        """The config with other values at some dotted keys.

        Raises:
            ConfigError: For a key that it does not take, or a value out of range.
        """
        content = {**self.resolved(), "search": {}}
        for key, value in settings.items():
            put(content, key, value)
        config: Config = _validated(Config, content, f"search of {', '.join(settings)}: ")
        return config.model_copy(update={"search": self.search})

    def resolved(self) -> dict[str, Any]:
        """Plain data with every default filled in, for YAML and JSON."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The resolved config as YAML that loads to the same config."""
        return yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True)


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
    config: Config = _validated(Config, content, f"{where}: ")
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
    own = _validated(DatasetConfig, own, "dataset: ") if isinstance(own, dict) else None
    return bool(own == dataset.model_copy(update={"metrics": getattr(own, "metrics", ())}))


def load_dataset_config(name: str | Path, folder: Path | None = None) -> DatasetConfig:
    """Read a dataset: a shipped name, or a YAML file relative to ``folder``.

    Raises:
        ConfigError: If there is no such dataset, with the nearest name.
    """
    shipped = configs_folder() / "datasets" / f"{name}.yaml"
    path = (folder or Path.cwd()) / name
    if str(name) in shipped_datasets():
        path = shipped
    elif path.suffix not in (".yaml", ".yml") or not path.is_file():
        raise ConfigError(unknown("dataset", name, shipped_datasets()) + " (or the path of a YAML file)")
    content = read_yaml(path)
    data_folder = home() / "datasets" / path.stem if path == shipped else path.parent.absolute()
    content = {"name": path.stem, "folder": str(data_folder), **content}
    config: DatasetConfig = _validated(DatasetConfig, content, f"{name}: ")
    return config


def shipped_datasets() -> list[str]:
    """Names of the datasets that come with the package."""
    return sorted(path.stem for path in (configs_folder() / "datasets").glob("*.yaml"))


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
    known = [*shipped, *{candidate.split("/")[0] for candidate in shipped}]
    raise ConfigError(unknown("config", name, known) + " (or the path of a YAML file)")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: If it cannot be read or is no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"cannot read '{path}': {reason}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"'{path}' must hold a mapping of keys to values (got {type(content).__name__})")
    return {str(key): value for key, value in content.items()}


def _validated(model: type[Any], content: Mapping[str, Any], where: str) -> Any:
    try:
        return model(**content)
    except ValidationError as error:
        raise ConfigError(describe(error, where, model.model_fields)) from None
