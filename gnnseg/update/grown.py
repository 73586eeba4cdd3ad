"""A run's model and scorer for more users and items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.checkpoint import SavedRun
from gnnseg.encoders import ENCODERS
from gnnseg.encoders.base import GraphEncoder
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph
from gnnseg.heads import HEADS
from gnnseg.model import SegmentRecommender
from gnnseg.new_items import NEW_ITEMS
from gnnseg.new_users import Prior
from gnnseg.scoring import (
    Constant,
    Continued,
    Factors,
    Gated,
    GraphFilter,
    ItemGraph,
    Mixture,
    Scorer,
    csr_parts,
    spread,
    strongest,
)
from gnnseg.segments import SEGMENTERS
from gnnseg.spectral import normalised
from gnnseg.text import TEXT_ENCODERS
from gnnseg.update.links import Grown


def grown_model(run: SavedRun, grown: Grown, graph: BipartiteGraph) -> SegmentRecommender:
    """The run's model for more users and items.

    Raises:
        ConfigError: For a baseline, or an encoder that has nothing for new items.
    """
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


def grown_scorer(
    run: SavedRun,
    scorer: Scorer,
    grown: Grown,
    graph: BipartiteGraph,
    model: SegmentRecommender | None,
    main: bool,
) -> Scorer:
    """The run's scorer for more users and items.

    Raises:
        ConfigError: If a part of it has nothing for new items, or would have to be fitted again.
    """
    if isinstance(scorer, Continued):
        whole = grown_scorer(run, scorer.whole, grown, graph, model, main)
        return _continued(run, scorer, whole, grown)
    if isinstance(scorer, Gated):
        whole = grown_scorer(run, scorer.whole, grown, graph, model, main)
        if model is None or model.segmenter is None or len(grown.items) > len(run.items):
            raise ConfigError("a local model has nothing for new items; leave their table out")
        return scorer.of(whole, model.segmenter.memberships, *csr_parts(grown.train))
    if isinstance(scorer, Mixture):
        parts = [
            grown_scorer(run, part, grown, graph, model, main and place == 0)  # type: ignore[arg-type]
            for place, part in enumerate(scorer.scorers)
        ]
        return Mixture(parts, scorer.weights)
    if main and model is not None:
        return model.scorer(graph)
    return _grown_term(run, scorer, grown)


def _continued(run: SavedRun, scorer: Continued, whole: Scorer, grown: Grown) -> Continued:
    """Items that the run was not trained on are scored by their texts, interactions or not."""
    known = np.zeros(len(grown.items), dtype=bool)
    known[scorer.warm.numpy()] = True
    features = TEXT_ENCODERS.create(run.config.text or {}).encode(grown.texts or [])
    way = NEW_ITEMS.create(run.config.new_items or {})
    return way.extend(whole, grown.train, features.numpy(), known).placed(*scorer.place)


def _grown_term(run: SavedRun, scorer: Scorer, grown: Grown) -> Scorer:
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
    if isinstance(scorer, Factors):
        return _grown_factors(scorer, grown, more)
    names = [spec["name"] for spec in (run.config.baseline, *run.config.terms) if spec]
    name = " or ".join(names) or type(scorer).__name__
    raise ConfigError(f"{name} has nothing for new users in this run; train it again on all interactions")


def _grown_factors(scorer: Factors, grown: Grown, more: int) -> Factors:
    """Users with new links are solved for again; the others and all items keep their vectors."""
    users = torch.zeros(grown.train.shape[0], scorer.users.shape[1])
    users[: len(scorer.users)] = scorer.users
    items = torch.nn.functional.pad(scorer.items, (0, 0, 0, more))
    touched = np.flatnonzero(np.diff(grown.fresh.indptr))
    users[touched] = Factors(users, items, scorer.rule).solve(grown.train[touched])
    return Factors(users, items, scorer.rule)


def grown_prior(prior: Prior, grown: Grown) -> Prior:
    """What is known of newcomers: popularity counts what is new, groups like new items as everybody does."""
    counts = np.maximum(np.bincount(grown.train.indices, minlength=len(grown.items)), 0.5)
    popularity = torch.from_numpy(np.log(counts)).float().unsqueeze(0)
    more = len(grown.items) - len(prior.lift)
    return replace(
        prior,
        popularity=(popularity / spread(popularity))[0],
        lift=torch.nn.functional.pad(prior.lift, (0, 0, 0, more)),
    )
