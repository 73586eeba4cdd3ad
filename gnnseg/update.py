"""A new day: users, items and interactions folded into a saved run without training it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.checkpoint import SavedRun, load_run, save_run
from gnnseg.config import Config
from gnnseg.data import Dataset, IdMap, Interactions
from gnnseg.data.sources import Table
from gnnseg.encoders import ENCODERS
from gnnseg.encoders.base import GraphEncoder
from gnnseg.environment import describe
from gnnseg.errors import ConfigError, DataError
from gnnseg.files import write_json
from gnnseg.graph import BipartiteGraph
from gnnseg.heads import HEADS
from gnnseg.manifest import seal
from gnnseg.model import SegmentRecommender
from gnnseg.new_items import NEW_ITEMS
from gnnseg.ranking import top_k
from gnnseg.run_folder import unfinished
from gnnseg.scoring import (
    Constant,
    Continued,
    DotProduct,
    Gated,
    GraphFilter,
    ItemGraph,
    Mixture,
    Scorer,
    csr_parts,
    strongest,
)
from gnnseg.segments import SEGMENTERS
from gnnseg.spectral import normalised
from gnnseg.stages import Progress, fit_stage
from gnnseg.text import TEXT_ENCODERS
from gnnseg.tracking import Tracker

LIST = 10
"""Length of the lists that are compared."""

MAX_USERS = 5000
"""Users whose lists are compared, at most."""


class Grown(NamedTuple):
    """Ids and links after an update; known users and items keep their rows, new ones come behind.

    Attributes:
        users: Outside ids.
        items: Outside ids.
        train: Old and new links, ``[U', I']``.
        seen: With those of validation, ``[U', I']``.
        texts: One an item, or None.
        fresh: Links that are new, ``[U', I']``.
    """

    users: IdMap
    items: IdMap
    train: sp.csr_matrix
    seen: sp.csr_matrix
    texts: list[str] | None
    fresh: sp.csr_matrix


def update(
    folder: str | Path,
    interactions: Path,
    out: Path,
    *,
    items: Path | None = None,
    epochs: int = 0,
    tracker: Tracker | None = None,
) -> dict[str, Any]:
    """Fold new interactions into a run, and write a new one.

    Known users and items keep what was learned of them; propagation runs over the graph with the new links.
    New users start from a vector of zeros, as in ``fold_in``. New items of an encoder with free vectors start
    from their text, through a ridge regression of the known items' vectors on text features; without a text
    they are left out. Columns are called as in the run's own tables.

    Args:
        folder: Of a finished run.
        interactions: csv, tsv, jsonl or parquet.
        out: The new run's folder; must not exist yet.
        items: Table of items with the texts of new ones.
        epochs: Of fine-tuning afterwards, by the run's own schedule; 0 for none.
        tracker: Told of progress.

    Returns:
        Content of ``update.json``: what was added, left out and changed.

    Raises:
        CheckpointError: If there is no run, or ``out`` exists.
        DataError: If a table cannot be read.
        ConfigError: If the run cannot be updated.
    """
    run, tracker = load_run(folder), tracker or Tracker()
    _refuse(run, epochs)
    grown, about = _grow(run, *_read(run, interactions, items))
    with unfinished(out) as partial:
        graph = BipartiteGraph(grown.train)
        model = None if run.config.encoder is None else _grown_model(run, grown, graph)
        if model is not None and epochs:
            _fine_tune(run.config, model, graph, epochs, tracker)
        scorer = _scorer(run, run.scorer, grown, graph, model, True)
        dataset = Dataset(
            run.config.dataset.name,
            Interactions(*(part.astype(np.int64) for part in grown.train.nonzero())),
            grown.users,
            grown.items,
            None if grown.texts is None else tuple(grown.texts),
        )
        save_run(partial, run.config, dataset, scorer, model, grown.train, grown.seen)
        after = None if model is None or model.segmenter is None else model.segmenter.memberships
        about |= {"epochs": epochs, **_changed(run, scorer, grown, after)}
        write_json(partial / "update.json", about)
        write_json(partial / "environment.json", describe(torch.device("cpu")))
        seal(partial)
    return about


def _refuse(run: SavedRun, epochs: int) -> None:
    """Raise a ConfigError for runs that would have to be trained again."""
    name = (run.config.baseline or {}).get("name")
    if isinstance(run.scorer, DotProduct) and run.config.encoder is None:
        raise ConfigError(f"{name} has a vector of its own for each user; train it again on all interactions")
    if epochs < 0:
        raise ConfigError(f"'epochs' must be at least 0 (got {epochs})")
    if epochs and run.config.encoder is None:
        raise ConfigError(f"'epochs' fine-tunes an encoder; {name} has none")


def _read(run: SavedRun, interactions: Path, items: Path | None) -> tuple[pl.DataFrame, dict[str, str]]:
    """What is new, from tables laid out as the run's own.

    Returns:
        Users and items by outside id, columns ``user`` and ``item``, repeated pairs once; and texts of items
        by outside id.
    """
    source, least = run.config.dataset.source, run.config.dataset.filters.min_rating
    columns: dict[str, Any] = {key: source[key] for key in ("user", "item") if key in source}
    if least is not None:
        columns["rating"] = source.get("rating")
    if items is not None:
        if not source.get("text"):
            raise ConfigError("the run's own tables have no text columns; leave the table of items out")
        described = {key: source[key] for key in ("item_id", "text", "text_join") if key in source}
        columns |= described | {"items": str(items.absolute())}
    found = Table(Path("/"), interactions=str(interactions.absolute()), **columns).load(
        run.config.dataset.name
    )
    links = found.interactions
    kept = np.ones(len(links), dtype=bool) if links.weights is None else links.weights >= (least or 0)
    if not kept.any():
        raise DataError(f"'{interactions}' has no rows to add")
    users, names = found.users.names(links.users[kept]), found.items.names(links.items[kept])
    texts = {} if found.texts is None else dict(zip(found.items, found.texts, strict=True))
    return pl.DataFrame({"user": users, "item": names}).unique(maintain_order=True), texts


def _grow(run: SavedRun, pairs: pl.DataFrame, texts: dict[str, str]) -> tuple[Grown, dict[str, Any]]:
    """Ids and links with the new ones, and what was added and left out."""
    way = run.config.encoder or run.config.new_items
    able = way is not None and run.config.text is not None and run.texts is not None
    unknown = [name for name in pairs["item"].unique(maintain_order=True) if name not in run.items]
    added = [name for name in unknown if able and texts.get(name)]
    left = len(unknown) - len(added)
    why = "without a text" if able else "this run makes no vectors of texts"
    pairs = pairs.filter(~pl.col("item").is_in([name for name in unknown if name not in set(added)]))
    new_users = [name for name in pairs["user"].unique(maintain_order=True) if name not in run.users]
    users, items = IdMap([*run.users, *new_users], "user"), IdMap([*run.items, *added], "item")
    links = Interactions(users.rows(pairs["user"]), items.rows(pairs["item"])).matrix(len(users), len(items))
    train, seen = (sp.csr_matrix(matrix, copy=True) for matrix in (run.train, run.seen))
    for matrix in (train, seen):
        matrix.resize(links.shape)
    fresh = sp.csr_matrix(links - links.multiply(train))
    fresh.eliminate_zeros()
    known = None if run.texts is None else [*run.texts, *(texts.get(name, "") for name in added)]
    grown = Grown(users, items, _union(train, links), _union(seen, links), known, fresh)
    return grown, {
        "users_added": len(new_users),
        "items_added": len(added),
        "links_added": int(fresh.nnz),
        "items_left_out": {"count": left, "reason": why} if left else None,
    }


def _union(first: sp.csr_matrix, second: sp.csr_matrix) -> sp.csr_matrix:
    """Links of either, each once, columns sorted."""
    total = sp.csr_matrix(first + second, dtype=np.float32)
    total.sum_duplicates()
    total.data[:] = 1.0
    return total


def _grown_model(run: SavedRun, grown: Grown, graph: BipartiteGraph) -> SegmentRecommender:
    """The run's model for more users and items."""
    old = run.model()
    if old is None:
        raise ConfigError("a baseline has no model")
    config, sizes = run.config, (len(grown.users), len(grown.items))
    features = old.encoder.item_features
    filled = None if features is None else torch.zeros(sizes[1], features.shape[1])
    encoder = ENCODERS.create(config.encoder or {}, *sizes, filled)
    _copy_grown(encoder, old.encoder)
    model = SegmentRecommender(encoder)
    if sizes[1] > len(run.items) and config.new_items is None:
        _items_from_text(run, grown, old, model)
    model.eval()
    if old.segmenter is not None and config.segmenter:
        segmenter = SEGMENTERS.create(config.segmenter)
        segmenter.load_state_dict(old.segmenter.state_dict())
        with torch.no_grad():
            segmenter.memberships = _memberships(run, grown, graph, old, model)
        model.segmenter = segmenter
        if old.head is not None and config.head:
            model.head = HEADS.create(config.head, encoder.dim, segmenter.num_segments)
            model.head.bind(graph, segmenter.memberships)
            _copy_grown(model.head, old.head)
    return model.eval()


@torch.no_grad()
def _copy_grown(new: torch.nn.Module, old: torch.nn.Module) -> None:
    """Copy tensors into larger ones, whose other entries become zero."""
    target = new.state_dict()
    for name, tensor in old.state_dict().items():
        target[name].zero_()
        target[name][tuple(slice(size) for size in tensor.shape)] = tensor


@torch.no_grad()
def _items_from_text(run: SavedRun, grown: Grown, old: SegmentRecommender, model: SegmentRecommender) -> None:
    """Inputs of new items by a ridge regression of the known ones' on text features."""
    encoder, known = model.encoder, len(run.items)
    if isinstance(old.encoder, GraphEncoder) and isinstance(encoder, GraphEncoder):
        target, place = old.encoder.inputs()[len(run.users) :], encoder.items.weight
    elif old.encoder.item_features is not None and encoder.item_features is not None:
        target, place = old.encoder.item_features, encoder.item_features
    else:
        raise ConfigError(f"{type(encoder).__name__} has no vectors for new items; leave their table out")
    text = TEXT_ENCODERS.create(run.config.text or {})
    features = text.encode(grown.texts or []).double()
    mean, centre = features[:known].mean(0), target.double().mean(0)
    left, right = features[:known] - mean, target.double() - centre
    gram = left.T @ left
    gram.diagonal().add_(0.1 * gram.diagonal().mean() + 1e-9)
    weights = torch.linalg.solve(gram, left.T @ right)
    place[known:] = (centre + (features[known:] - mean) @ weights).to(place)


def _memberships(
    run: SavedRun, grown: Grown, graph: BipartiteGraph, old: SegmentRecommender, model: SegmentRecommender
) -> Tensor:
    """Memberships ``[U', S]``: of new users, and of known ones with new links, by their vectors.

    A known user moves only if its vector told its segment before, too: not because segments that were found
    in the graph are now assigned otherwise.
    """
    if old.segmenter is None or run.memberships is None:
        raise ConfigError("the run has no segments")
    known = len(run.users)
    vectors = model.encoder(graph).users
    found = old.segmenter(vectors)
    before = old.segmenter(old.encoder(BipartiteGraph(run.train)).users)
    told = strongest(before) == strongest(run.memberships)
    touched = torch.from_numpy(np.diff(grown.fresh.indptr)[:known] > 0)
    kept = torch.where((told & touched).unsqueeze(1), found[:known], run.memberships)
    return torch.cat([kept, found[known:]])


def _fine_tune(
    config: Config, model: SegmentRecommender, graph: BipartiteGraph, epochs: int, tracker: Tracker
) -> None:
    """A few epochs of the run's last stage on all links, without validation."""
    stage = 2 if model.head is not None else 1
    key = "fine_tune" if stage == 2 else "train"
    schedule = getattr(config, key).model_copy(update={"epochs": epochs})
    short = config.model_copy(update={key: schedule})
    fit_stage(short, model.train(), graph, lambda: float("nan"), Progress(stage=stage), tracker)


def _scorer(
    run: SavedRun,
    scorer: Scorer,
    grown: Grown,
    graph: BipartiteGraph,
    model: SegmentRecommender | None,
    main: bool,
) -> Scorer:
    """The run's scorer for more users and items."""
    if isinstance(scorer, Continued):
        whole = _scorer(run, scorer.whole, grown, graph, model, main)
        return _continued(run, scorer, whole, grown)
    if isinstance(scorer, Gated):
        whole = _scorer(run, scorer.whole, grown, graph, model, main)
        if model is None or model.segmenter is None or len(grown.items) > len(run.items):
            raise ConfigError("a local model has nothing for new items; leave their table out")
        return scorer.of(whole, model.segmenter.memberships, *csr_parts(grown.train))
    if isinstance(scorer, Mixture):
        parts = [
            _scorer(run, part, grown, graph, model, main and place == 0)  # type: ignore[arg-type]
            for place, part in enumerate(scorer.scorers)
        ]
        return Mixture(parts, scorer.weights)
    if main and model is not None:
        return model.scorer(graph)
    return _grown_term(scorer, grown)


def _continued(run: SavedRun, scorer: Continued, whole: Scorer, grown: Grown) -> Continued:
    """Items that the run was not trained on are scored by their texts, interactions or not."""
    known = np.zeros(len(grown.items), dtype=bool)
    known[scorer.warm.numpy()] = True
    features = TEXT_ENCODERS.create(run.config.text or {}).encode(grown.texts or [])
    way = NEW_ITEMS.create(run.config.new_items or {})
    return way.extend(whole, grown.train, features.numpy(), known).placed(*scorer.place)


def _grown_term(scorer: Scorer, grown: Grown) -> Scorer:
    """A baseline's scorer: the histories are new, the item-item matrix and the items' vectors are not."""
    more = grown.train.shape[1] - scorer.num_items
    if isinstance(scorer, Constant):
        return Constant(torch.from_numpy(np.bincount(grown.train.indices, minlength=grown.train.shape[1])))
    if isinstance(scorer, ItemGraph):
        if scorer.weights_indptr is None or scorer.weights_indices is None:
            return ItemGraph.build(grown.train, np.pad(scorer.weights.numpy(), ((0, more), (0, more))))
        parts = (scorer.weights, scorer.weights_indices, scorer.weights_indptr)
        transposed = sp.csr_matrix(tuple(p.numpy() for p in parts), shape=(scorer.num_items,) * 2)
        transposed.resize(grown.train.shape[1], grown.train.shape[1])
        return ItemGraph.build(grown.train, transposed.T)
    if isinstance(scorer, GraphFilter):
        tables = [np.pad(t.numpy(), ((0, more), (0, 0))) for t in (scorer.left, scorer.items)]
        scale = np.pad(scorer.scale.numpy(), (0, more), constant_values=1)
        return GraphFilter.build(normalised(grown.train), scorer.coefficients.numpy(), scale, *tables)
    if isinstance(scorer, DotProduct):
        users = torch.zeros(grown.train.shape[0], scorer.users.shape[1])
        users[: len(scorer.users)] = scorer.users
        return DotProduct(users, torch.nn.functional.pad(scorer.items, (0, 0, 0, more)))
    raise ConfigError(f"{type(scorer).__name__} cannot be updated; train the run again")


def _changed(run: SavedRun, scorer: Scorer, grown: Grown, after: Tensor | None) -> dict[str, Any]:
    """How much of known users' lists is new, and how many of them moved between segments."""
    known = len(run.users)
    rows = np.unique(np.linspace(0, known - 1, min(MAX_USERS, known)).astype(np.int64))
    k = min(LIST, len(run.items))
    before = top_k(run.scorer, rows, k, run.seen)
    now = top_k(scorer, rows, k, grown.seen)
    lists = [
        (set(a[np.isfinite(x)].tolist()), set(b[np.isfinite(y)].tolist()))
        for a, x, b, y in zip(*before, *now, strict=True)
    ]
    shares = [len(new - old) / max(1, len(new)) for old, new in lists]
    moves = None
    if after is not None and run.memberships is not None:
        moved = strongest(after[:known]) != strongest(run.memberships)
        moves = {"users": int(moved.sum()), "share": float(moved.double().mean())}
    return {
        "changed_share_of_top": {"k": k, "users": len(rows), "share": float(np.mean(shares))},
        "segment_moves": moves,
    }
