"""An experiment: its parts checked against their signatures, and resolved to every default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import torch
import yaml
from annotated_types import Ge, Le
from pydantic import (
    BaseModel,
    ConfigDict,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from gnnseg import space
from gnnseg.baselines import BASELINES
from gnnseg.components import Kind
from gnnseg.config.dataset import DatasetConfig, validated
from gnnseg.encoders import ENCODERS
from gnnseg.errors import ConfigError
from gnnseg.files import checked_name
from gnnseg.heads import HEADS, SegmentHead
from gnnseg.local import LOCAL_MODELS
from gnnseg.losses import LOSSES
from gnnseg.metrics import parse
from gnnseg.new_items import NEW_ITEMS
from gnnseg.new_users import NEW_USERS
from gnnseg.overrides import put
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
    "local": LOCAL_MODELS,
    "new_items": NEW_ITEMS,
    "new_users": NEW_USERS,
}
"""The key of a config that names a component, or a list of them, and its kind."""

SEARCHABLE = (*KINDS, "term_weight", "train", "fine_tune")
"""The parts of a config that a search may change; the rest is data, protocol and names."""


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
        text: Item texts to features, for the encoder where it takes any and for ``new_items``.
        encoder: Graph and features to embeddings.
        loss: What both stages minimise.
        sampler: Draws the items that observed pairs stand against, in both stages.
        regularizers: What stage 1 adds to the loss, a list.
        train: Stage 1.
        segmenter: Users to segments.
        head: Conditions embeddings on segments.
        fine_tune: Stage 2.
        local: A model for each segment, added to all scores as far as validation finds that it helps.
        term: A baseline whose scores are added to the encoder's, such as an item-item model; or a list.
        term_weight: Of its scores, in standard deviations, a list for several; None to choose on validation.
        new_items: Scores items without a training interaction by their texts.
        new_users: What lists for users with few interactions or none start from.
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
    local: dict[str, Any] | None = None
    term: dict[str, Any] | tuple[dict[str, Any], ...] | None = None
    term_weight: tuple[NonNegativeFloat, ...] | None = None
    new_items: dict[str, Any] | None = None
    new_users: dict[str, Any] | None = None
    choose_by: str = "ndcg@10"
    reference: Reference | None = None
    search: dict[str, Any] = {}

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        return checked_name(name)

    @field_validator(*KINDS, mode="before")
    @classmethod
    def _resolve(cls, spec: Any, info: Any) -> Any:
        kind = KINDS[info.field_name]
        if info.field_name == "term" and isinstance(spec, list | tuple):
            return tuple(kind.resolve(one) for one in spec) or None
        if info.field_name != "regularizers":
            return None if spec is None else kind.resolve(spec)
        if not isinstance(spec, list | tuple):
            raise ConfigError(f"'regularizers' must be a list of components (got {spec!r})")
        return tuple(kind.resolve(one) for one in spec)

    @field_validator("term_weight", mode="before")
    @classmethod
    def _each(cls, weight: Any) -> Any:
        return weight if weight is None or isinstance(weight, list | tuple) else (weight,)

    @field_validator("search", mode="before")
    @classmethod
    def _forms(cls, search: object) -> dict[str, Any]:
        return space.resolve({} if search is None else search, SEARCHABLE)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        parse(self.choose_by)
        self._check_together()
        for key in ("text", "loss", "segmenter", "local", "new_items", "new_users"):
            spec = getattr(self, key)
            if spec is not None:
                KINDS[key].create(spec)
        for spec in self.terms:
            BASELINES.create(spec)
        if self.encoder is not None:
            self._check_encoder()
        for key, form in self.search.items():
            for value in space.ends(form):
                self.with_settings({key: value})
        return self

    def _check_encoder(self) -> None:
        """Make encoder, regularizers and head once, without taking memory: a config may ask for any."""
        with torch.device("meta"):
            features = torch.zeros(2, 1) if self.encoder_takes_text else None  # an encoder may refuse any
            encoder = ENCODERS.create(self.encoder or {}, 1, 2, features)
            for spec in self.regularizers:
                REGULARIZERS.create(spec).check(encoder)
            if self.head is not None:
                self._check_loss(HEADS.create(self.head, encoder.dim, 2))

    def _check_together(self) -> None:
        """Refuse parts that exclude or need one another."""
        if (self.baseline is None) == (self.encoder is None):
            raise ConfigError("a config needs either 'encoder' or 'baseline'")
        of_encoders = ("regularizers", "segmenter", "head", "local", "term")
        if self.baseline is not None and any(getattr(self, key) for key in of_encoders):
            raise ConfigError("a 'baseline' takes no regularizers, segmenter, head, local or term")
        if self.baseline is not None and self.text is not None and self.new_items is None:
            raise ConfigError("a 'baseline' takes 'text' for 'new_items' only; name a way, or leave text out")
        if self.new_items is not None and self.text is None:
            raise ConfigError("'new_items' are scored by their texts and need a 'text' encoder")
        if (self.segmenter is None) != (self.head is None and self.local is None):
            raise ConfigError("'segmenter' needs a 'head' or a 'local' model, and they need a 'segmenter'")
        if self.term_weight is not None and self.term is None:
            raise ConfigError("'term_weight' needs a 'term' to weigh; name one, or leave it out")
        if self.term_weight is not None and len(self.term_weight) != len(self.terms):
            raise ConfigError(
                f"'term_weight' must have one weight a term, {len(self.terms)} (got {len(self.term_weight)})"
            )

    @property
    def terms(self) -> tuple[dict[str, Any], ...]:
        """The specs of ``term``, none, one or several."""
        if self.term is None:
            return ()
        return (self.term,) if isinstance(self.term, dict) else self.term

    @property
    def encoder_takes_text(self) -> bool:
        """Whether the encoder is given text features; one that takes none leaves them to ``new_items``."""
        if self.text is None or self.encoder is None:
            return False
        return self.new_items is None or ENCODERS.find(self.encoder["name"]).takes_features

    def _check_loss(self, head: SegmentHead) -> None:
        """Refuse a loss that multiplies whole tables where scores are no dot products."""
        loss = LOSSES.create(self.loss)
        if not head.is_dot_product and (loss.cosine or not loss.draws):
            name, kind = self.loss["name"], type(head).__name__
            raise ConfigError(
                f"{kind} scores pairs by a network and needs a loss of drawn pairs without cosines "
                f"(got {name}); use BinaryCrossEntropy, SquaredError or BPR"
            )

    def with_settings(self, settings: Mapping[str, Any]) -> Config:
        """The config with other values at some dotted keys.

        Raises:
            ConfigError: For a key that it does not take, or a value out of range.
        """
        content = {**self.resolved(), "search": {}}
        for key, value in settings.items():
            put(content, key, value)
        config: Config = validated(Config, content, f"search of {', '.join(settings)}: ")
        return config.model_copy(update={"search": self.search})

    def resolved(self) -> dict[str, Any]:
        """Plain data with every default filled in, for YAML and JSON."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The resolved config as YAML that loads to the same config."""
        return yaml.safe_dump(self.resolved(), sort_keys=False, allow_unicode=True)
