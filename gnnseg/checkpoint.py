"""Runs on disk: tensors in safetensors, the rest in JSON, no pickle anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from gnnseg.config import Config, load_config
from gnnseg.data import Dataset, IdMap
from gnnseg.encoders import ENCODERS
from gnnseg.environment import version
from gnnseg.errors import CheckpointError
from gnnseg.files import write_json, write_text, writing
from gnnseg.graph import BipartiteGraph
from gnnseg.heads import HEADS
from gnnseg.manifest import check_part, check_parts
from gnnseg.memory import require
from gnnseg.model import SegmentRecommender, encoder_bytes
from gnnseg.new_users import Prior
from gnnseg.scoring import Scorer, rebuild
from gnnseg.segments import SEGMENTERS
from gnnseg.tensors import check_histories, packed, shapes

FORMAT = 1

WEIGHTS = "model.safetensors"
"""Read when the model itself is asked for, and checked against the manifest only then."""

TAGS = "tags.json"
"""``{"names": ["Comedy", ...], "items": [[0, 2], ...]}``: each name once, as genres are few, items many."""


@dataclass(frozen=True)
class SavedRun:
    """A run read back.

    Attributes:
        folder: Where it lies.
        config: Resolved, as it was trained.
        scorer: Scores of the users it was trained on.
        users: Outside ids of users.
        items: Outside ids of items.
        train: Training interactions, ``[U, I]``.
        seen: Training and validation interactions, ``[U, I]``, never recommended.
        memberships: ``[U, S]``, or None without segments.
        texts: Texts of the items, or None.
        tags: For each item its labels (genres), or None; runs of older versions keep none.
    """

    folder: Path
    config: Config
    scorer: Scorer
    users: IdMap
    items: IdMap
    train: sp.csr_matrix
    seen: sp.csr_matrix
    memberships: Tensor | None
    texts: list[str] | None
    tags: tuple[tuple[str, ...], ...] | None = None

    def model(self) -> SegmentRecommender | None:
        """The model itself, for users who were not there; None for a baseline."""
        return None if self.config.encoder is None else load_model(self.folder, self.config, graph_of(self))


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors atomically."""
    data = packed(tensors)
    with writing(path) as temporary:
        temporary.write_bytes(data)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    shapes(path)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read '{path}': {error}") from None


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise CheckpointError(f"cannot read '{path}': it is nested too deeply") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CheckpointError(
            f"cannot read '{path}': {reason}; is this the folder of a finished run?"
        ) from None


def save_run(
    folder: Path,
    config: Config,
    dataset: Dataset,
    scorer: Scorer,
    model: SegmentRecommender | None,
    train: sp.csr_matrix,
    seen: sp.csr_matrix,
) -> None:
    """Write everything that :func:`load_run` reads back.

    Args:
        folder: Of the run.
        config: Resolved.
        dataset: Whose ids, texts and tags are kept.
        scorer: What ranks.
        model: What was trained, or None for a baseline.
        train: What it was trained on, ``[U, I]``.
        seen: What is never recommended, ``[U, I]``.
    """
    memberships = None if model is None or model.segmenter is None else model.segmenter.memberships
    features = None if model is None else model.encoder.item_features
    sizes = {
        "users": dataset.num_users,
        "items": dataset.num_items,
        "features": None if features is None else features.shape[1],
        "segments": None if memberships is None else memberships.shape[1],
    }
    write_text(folder / "config.yaml", config.to_yaml())
    header = {"format": FORMAT, "gnnseg": version(), "scorer": scorer.kind, **sizes}
    write_json(folder / "model.json", header)
    write_json(folder / "users.json", list(dataset.users))
    write_json(folder / "items.json", list(dataset.items))
    if dataset.texts is not None:
        write_json(folder / "texts.json", list(dataset.texts))
    if dataset.tags is not None:
        write_json(folder / TAGS, _numbered(dataset.tags))
    if model is not None:
        save_tensors(folder / WEIGHTS, model.state_dict())
    tables = {f"scorer.{name}": tensor for name, tensor in scorer.state_dict().items()}
    if memberships is not None:
        tables["memberships"] = memberships
    save_tensors(
        folder / "embeddings.safetensors", {**tables, **_packed("train", train), **_packed("seen", seen)}
    )


def load_run(folder: str | Path) -> SavedRun:
    """Read a finished run.

    Raises:
        CheckpointError: If it is missing, damaged or of another format.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"there is no run '{folder}'; `gnnseg train --out {folder}` would make one")
    check_parts(folder, later=(WEIGHTS,))
    header = _header(folder)
    path = folder / "embeddings.safetensors"
    tables = load_tensors(path)
    shape = (header["users"], header["items"])
    state = {name.removeprefix("scorer."): t for name, t in tables.items() if name.startswith("scorer.")}
    try:
        check_histories(tables, shape)
        scorer = rebuild(header["scorer"], state)
        _check_sizes(header, scorer, tables)
        train, seen = (_unpacked(name, tables, shape) for name in ("train", "seen"))
    except (
        AttributeError,
        IndexError,
        KeyError,
        RecursionError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"'{path}' is damaged, or belongs to another run: {reason[:300]}") from None
    texts = folder / "texts.json"
    return SavedRun(
        folder=folder,
        config=load_config(folder / "config.yaml"),
        scorer=scorer,
        users=IdMap(_texts(folder / "users.json", header["users"]), "user"),
        items=IdMap(_texts(folder / "items.json", header["items"]), "item"),
        train=train,
        seen=seen,
        memberships=tables.get("memberships"),
        texts=_texts(texts, header["items"]) if texts.is_file() else None,
        tags=_tags(folder / TAGS, header["items"]),
    )


def load_model(folder: Path, config: Config, graph: BipartiteGraph) -> SegmentRecommender:
    """Rebuild the model of a run from its config, sizes, weights and training graph.

    Raises:
        CheckpointError: If a file is missing or damaged, or the weights do not fit the config.
    """
    header = _header(folder)
    check_part(folder / WEIGHTS)
    _check_claims(folder / WEIGHTS, config, header)
    features = None if header["features"] is None else torch.zeros(header["items"], header["features"])
    encoder = ENCODERS.create(config.encoder or {}, header["users"], header["items"], features)
    model, tensors = SegmentRecommender(encoder), load_tensors(folder / WEIGHTS)
    if header["segments"] is not None and config.segmenter:
        model.segmenter = SEGMENTERS.create(config.segmenter)
        none = torch.zeros(header["users"], header["segments"])
        if config.head:
            model.head = HEADS.create(config.head, encoder.dim, header["segments"])
            model.head.bind(graph, tensors.get("segmenter.memberships", none))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"'{folder / WEIGHTS}' does not fit its config: {reason}") from None
    return model.eval()


def _check_claims(path: Path, config: Config, header: Mapping[str, Any]) -> None:
    """Compare what a model would take with the file of its weights, before it takes it.

    Raises:
        CheckpointError: If sizes in ``model.json`` or the config ask for other tensors than the file has.
        TooLargeError: If they do not fit into memory.
    """
    known, sizes = shapes(path), (header["users"], header["items"])
    segments, features = header["segments"], header["features"]
    for name, claimed in (
        ("encoder.item_features", (sizes[1], features)),
        ("segmenter.memberships", (sizes[0], segments)),
    ):
        if name in known and known[name].sizes != claimed:
            raise CheckpointError(
                f"'{path}' does not fit its config: {name} must be {claimed} (got {known[name].sizes})"
            )
    wide = 0 if features is None or "encoder.item_features" in known else features
    tables = 4 * (sizes[1] * (features or 0) + sizes[0] * (segments or 0))
    components = 24 * wide**2  # of features that are not in the file
    instead = "use a larger machine, or train it again"
    require(tables + components, f"the model of '{path.parent}'", instead)
    wanted = encoder_bytes(config.encoder or {}, *sizes, features)
    there = sum(shape.num_bytes for shape in known.values())
    if wanted is not None and wanted > there:
        raise CheckpointError(f"'{path}' does not fit its config: it must have {wanted} bytes (got {there})")


def save_prior(folder: Path, prior: Prior) -> None:
    """Write what :func:`load_prior` reads back."""
    about = {"groups": prior.groups, "values": prior.values, "rule": prior.rule}
    write_json(folder / "new_users.json", about)
    save_tensors(folder / "new_users.safetensors", {"popularity": prior.popularity, "lift": prior.lift})


def load_prior(folder: Path) -> Prior:
    """What a run with ``new_users`` knows of somebody of whom little is known.

    Raises:
        CheckpointError: If a file is missing or damaged.
    """
    about, tables = read_json(folder / "new_users.json"), load_tensors(folder / "new_users.safetensors")
    try:
        groups = tuple((tuple(columns), tuple(names)) for columns, names in about["groups"])
        rule = tuple((float(n), float(p), float(lift)) for n, p, lift in about["rule"])
        return Prior(tables["popularity"], tables["lift"], groups, about["values"], rule)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"'{folder / 'new_users.json'}' is damaged: {error}") from None


def graph_of(run: SavedRun) -> BipartiteGraph:
    """The training graph of a saved run."""
    return BipartiteGraph(run.train)


def _header(folder: Path) -> dict[str, Any]:
    header = read_json(folder / "model.json")
    sizes = ("users", "items", "features", "segments")
    if not isinstance(header, dict) or not {"format", "scorer", *sizes} <= header.keys():
        raise CheckpointError(f"'{folder / 'model.json'}' does not describe a run of gnnseg")
    if header.get("format") != FORMAT:
        found = f"format {header.get('format')}"
        raise CheckpointError(
            f"'{folder}' was written by another version of gnnseg ({found}); train it again"
        )
    for name in sizes:
        if not (type(header[name]) is int and header[name] >= 0) and (
            name in sizes[:2] or header[name] is not None
        ):
            raise CheckpointError(
                f"'{folder / 'model.json'}': '{name}' must be a whole number (got {header[name]!r})"
            )
    return dict(header)


def _check_sizes(header: Mapping[str, Any], scorer: Scorer, tables: Mapping[str, Tensor]) -> None:
    """Raise a ValueError where the parts of a run do not have the sizes that it claims."""
    memberships = tables.get("memberships")
    segments = None if memberships is None else tuple(memberships.shape)
    claimed = None if header["segments"] is None else (header["users"], header["segments"])
    if scorer.num_items != header["items"]:
        raise ValueError(f"it scores {scorer.num_items} items where 'model.json' has {header['items']}")
    if segments != claimed:
        raise ValueError(f"memberships are {segments} where 'model.json' has {claimed}")


def _packed(name: str, matrix: sp.csr_matrix) -> dict[str, Tensor]:
    return {
        f"{name}.indptr": torch.from_numpy(matrix.indptr.astype(np.int64)),
        f"{name}.indices": torch.from_numpy(matrix.indices.astype(np.int32)),
    }


def _unpacked(name: str, tables: Mapping[str, Tensor], shape: tuple[int, int]) -> sp.csr_matrix:
    indptr, indices = tables[f"{name}.indptr"].numpy(), tables[f"{name}.indices"].numpy()
    return sp.csr_matrix((np.ones(len(indices), dtype=np.float32), indices, indptr), shape=shape)


def _texts(path: Path, count: int) -> list[str]:
    """A JSON list of ``count`` texts."""
    found = read_json(path)
    if not isinstance(found, list) or len(found) != count:
        raise CheckpointError(f"'{path}' is damaged: it must be a list of {count} texts")
    return found


def _numbered(tags: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Content of ``tags.json``."""
    place = {name: number for number, name in enumerate(sorted({name for own in tags for name in own}))}
    return {"names": list(place), "items": [[place[name] for name in own] for own in tags]}


def _tags(path: Path, count: int) -> tuple[tuple[str, ...], ...] | None:
    """The tags of ``count`` items; None where there are none, as in runs of older versions."""
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        names = [str(name) for name in content["names"]]
        found = tuple(tuple(names[place] for place in own) for own in content["items"])
    except (IndexError, KeyError, TypeError):
        found = ()
    if len(found) != count:
        raise CheckpointError(f"'{path}' is damaged: it must name the tags of {count} items")
    return found
