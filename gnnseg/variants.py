"""The rows of an ablation: what a segmented config is compared with, as configs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from gnnseg.config import Config
from gnnseg.errors import ConfigError
from gnnseg.segments import SEGMENTERS

Role = Literal["global", "control", "part", "full"]

HEADS = ("FiLM", "LoRA", "Experts", "SubgraphPropagation")
LOCAL_MODELS = ("Lift", "LocalItems")
COMMUNITIES, CLUSTERS = "Leiden", "KMeans"
PLAIN = "plain pipeline"

PLAIN_PIPELINE: dict[str, Any] = {
    "encoder": {"name": "TextMean", "dim": 64},
    "loss": "SquaredError",
    "sampler": "Uniform",
    "regularizers": [],
    "train": {"epochs": 0},
    "segmenter": {"name": "ScoreKMeans", "num_segments": 5, "temperature": 1.0e-6},
    "head": {"name": "GroupMLP", "hidden": 128, "add_global": False},
    "fine_tune": {
        "epochs": 10, "batch_size": 256, "learning_rate": 0.001, "num_negatives": 1, "evaluate_every": 10
    },
    "local": None,
    "term": None,
    "term_weight": None,
}  # fmt: skip
"""As ``configs/movielens/plain-segments.yaml`` has it, which says where it is from."""

MAX_MEMBERS = 8
"""Global models in the ensemble, at most."""


class Variant(NamedTuple):
    """One row.

    Attributes:
        name: Of the row.
        role: The global model, a control, a part or another form of the system, or the full system.
        about: What it shows.
        config: What is fitted on top of the global model.
        members: Global models whose scores are summed; 1 but for the ensemble.
    """

    name: str
    role: Role
    about: str
    config: Config
    members: int = 1


def variants(config: Config, num_segments: int) -> list[Variant]:
    """All rows of the ablation of a config.

    Args:
        config: With an encoder and a segmenter.
        num_segments: That the full system found, ``S``.

    Raises:
        ConfigError: If there are no segments to study.
    """
    if config.encoder is None or config.segmenter is None:
        raise ConfigError(
            f"'{config.name}' has no segments to ablate; give it a segmenter and a head or local model"
        )
    plain = {"segmenter": None, "head": None, "local": None}
    globally = _changed(config, "global", plain)
    rows = [Variant("global", "global", "the model without segments", globally)]
    if config.head is not None and config.train.epochs and config.fine_tune.epochs:
        rows.append(_more_steps(config))
    members = min(num_segments, MAX_MEMBERS)
    dealt = {"name": "Random", "like": config.segmenter}
    alike = {"name": "OneSegment", "copies": num_segments}
    summed = f"{members} global models summed"
    rows += [
        _segmented(config, "random segments", "control", "the same sizes, users dealt out anew", dealt),
        Variant("ensemble", "control", summed, _changed(config, "ensemble", plain), members),
        _segmented(config, "one segment", "control", "as many parameters, everybody alike", alike),
    ]
    return [
        *rows,
        *_segmenters(config, num_segments),
        *_conditions(config),
        *_plain(config),
        full_row(config),
    ]


def full_row(config: Config) -> Variant:
    """The last row: the system itself."""
    return Variant("full", "full", "the system as configured", _changed(config, "full", {}))


def _plain(config: Config) -> list[Variant]:
    """The pipeline that articles publish, on the config's own texts; without texts there is none."""
    if config.text is None:
        return []
    about = "as articles publish it, on its own: PCA of texts, k-means on scores, a network a group"
    return [Variant(PLAIN, "part", about, _changed(config, PLAIN, PLAIN_PIPELINE))]


def _more_steps(config: Config) -> Variant:
    """The global model trained on for as many epochs as the head."""
    changes: dict[str, Any] = {"segmenter": {"name": "OneSegment"}, "head": {"name": "Shared"}, "local": None}
    trained = config.fine_tune.model_copy(update={"encoder_rate": 1.0})
    return Variant(
        "more steps",
        "control",
        "the global model trained on for the steps of the head",
        _changed(config, "more steps", {**changes, "fine_tune": trained.model_dump()}),
    )


def _segmenters(config: Config, num_segments: int) -> list[Variant]:
    """Other ways to segments: communities, clusters, both, and the same segments made hard."""
    own = config.segmenter or {}
    views = [dict(view) for view in own.get("views", ())] or [
        {"name": COMMUNITIES},
        {"name": CLUSTERS, "num_segments": num_segments},
    ]
    views = [SEGMENTERS.resolve(view) for view in views]
    alone = views if "views" in own else [view for view in views if view["name"] != own["name"]]
    rows = [
        _segmented(config, name, "part", "this segmenter alone", view)
        for name, view in zip(_names(alone), alone, strict=True)
    ]
    if own["name"] != "Consensus":
        both = {"name": "Consensus", "views": views, "num_segments": num_segments}
        rows.append(_segmented(config, "consensus", "part", "the views put together", both))
    if own["name"] != "Hard":
        hard = {"name": "Hard", "of": own}
        rows.append(
            _segmented(config, "hard segments", "part", "each user in the strongest segment alone", hard)
        )
    return rows


def _names(views: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row's name for each view; views of one class are numbered."""
    names = [view["name"] for view in views]
    number = [names[: place + 1].count(name) for place, name in enumerate(names)]
    return [f"{name} only" if n == 1 else f"{name} {n} only" for name, n in zip(names, number, strict=True)]


def _conditions(config: Config) -> list[Variant]:
    """Each head and each local model on the segments of the config, one at a time."""
    own = {part["name"]: part for part in (config.head, config.local) if part is not None}
    rows = []
    for key, names in (("head", HEADS), ("local", LOCAL_MODELS)):
        for name in dict.fromkeys([*names, *_own_name(config, key)]):
            if list(own) == [name]:
                continue  # that is the full system
            changes = {"head": None, "local": None, key: own.get(name, {"name": name})}
            rows.append(Variant(name, "part", f"the {key} {name} alone", _changed(config, name, changes)))
    return rows


def _own_name(config: Config, key: str) -> list[str]:
    """The name of the config's own head or local model, which may be of no shipped class."""
    part = getattr(config, key)
    return [] if part is None else [part["name"]]


def _segmented(config: Config, name: str, role: Role, about: str, segmenter: Mapping[str, Any]) -> Variant:
    return Variant(name, role, about, _changed(config, name, {"segmenter": segmenter}))


def _changed(config: Config, name: str, changes: Mapping[str, Any]) -> Config:
    """The config under another name with some keys replaced, checked again."""
    content = {**config.resolved(), "name": name, "search": {}, "reference": None, **changes}
    return Config.model_validate(content)
