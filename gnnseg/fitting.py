"""From a config and prepared data to a fitted model: stage 1, segments, stage 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from gnnseg.arrivals import add_new_items, add_new_users
from gnnseg.baselines import BASELINES
from gnnseg.config import Config
from gnnseg.distributed import fit_segments, lead, trains_together
from gnnseg.encoders import ENCODERS
from gnnseg.errors import ConfigError
from gnnseg.evaluation import evaluate
from gnnseg.gates import choose_gates, gated
from gnnseg.graph import Embeddings
from gnnseg.heads import HEADS
from gnnseg.local import LOCAL_MODELS
from gnnseg.memory import require
from gnnseg.mixing import mix
from gnnseg.model import SegmentRecommender, encoder_bytes
from gnnseg.new_users import Prior
from gnnseg.newcomers import Newcomers
from gnnseg.prepared import Prepared, item_features, item_terms
from gnnseg.scoring import Scorer, strongest
from gnnseg.seeding import numpy_rng, seed_torch
from gnnseg.segments import SEGMENTERS
from gnnseg.segments.differences import differences
from gnnseg.segments.profiles import profiles
from gnnseg.segments.quality import quality, refits
from gnnseg.stages import Progress, fit_stage, under
from gnnseg.tracking import Clock, Tracker


class Fitted(NamedTuple):
    """A fitted model before any test.

    Attributes:
        scorer: What ranks.
        model: The model, or None for a baseline.
        features: Text features of the items, ``[I, f]``, or None.
        text: What features were made with.
        decision: With a head, the validation metric of both models and which of them is served.
        mixture: With terms, their weights and the validation metric under each that was tried.
        local: With a local model, its gain on validation, its gates and whether it is served.
        new_items: With a way for new items, their place among the others and how it was chosen.
        prior: What lists for new users start from, or None.
        new_users: With a prior, its weights for each length of history and how they were chosen.
    """

    scorer: Scorer
    model: SegmentRecommender | None
    features: Tensor | None = None
    text: dict[str, Any] | None = None
    decision: dict[str, Any] | None = None
    mixture: dict[str, Any] | None = None
    local: dict[str, Any] | None = None
    new_items: dict[str, Any] | None = None
    prior: Prior | None = None
    new_users: dict[str, Any] | None = None


def fit_scorer(config: Config, data: Prepared, progress: Progress, tracker: Tracker, clock: Clock) -> Fitted:
    """Fit a baseline, or features and a model, on train and validation alone.

    Args:
        config: What to fit.
        data: What to train on.
        progress: Where the run stands; a resumed one goes on from there.
        tracker: Told of epochs and progress.
        clock: Times the steps.

    Raises:
        ConfigError: For a baseline in several processes.
    """
    features, text = item_features(config, data, tracker, clock)
    if config.baseline is not None:
        if progress.ranks is not None:
            raise ConfigError("a baseline is fitted in one process; start it without torchrun")
        with clock("fit"):
            scorer = BASELINES.create(config.baseline).fit(data.graph).to(data.graph.device)
        fitted = Fitted(scorer, None)
    else:
        model = fit_global(config, data, features, progress, tracker, clock)
        fitted = fit_segmented(config, data, model, progress, tracker, clock)
    if config.new_items is not None:
        with clock("fit"), tracker.task("new items", 1) as task:
            scorer, about = add_new_items(config, data, fitted.scorer, features)
            fitted = fitted._replace(scorer=scorer, new_items=about)
            task.advance()
    if config.new_users is not None:
        with clock("fit"), tracker.task("new users", 1) as task:
            prior, about = add_new_users(config, data, newcomers_of(config, data, fitted))
            fitted = fitted._replace(prior=prior, new_users=about)
            task.advance()
    return fitted._replace(features=features, text=text)


def newcomers_of(config: Config, data: Prepared, fitted: Fitted) -> Newcomers:
    """The fitted scorer for users who were not there."""
    graph = None if fitted.model is None else data.graph
    return Newcomers(fitted.scorer, fitted.model, graph, (config.baseline or {}).get("name"))


def fit_global(
    config: Config,
    data: Prepared,
    features: Tensor | None,
    progress: Progress,
    tracker: Tracker,
    clock: Clock,
) -> SegmentRecommender:
    """Train the encoder, the same for everybody.

    Args:
        config: With an encoder.
        data: What to train on.
        features: Text features of the items, ``[I, f]``, or None.
        progress: Where the run stands; a resumed one goes on from there.
        tracker: Told of epochs and progress.
        clock: Times the steps.

    Raises:
        ConfigError: For a local model without validation.
        TooLargeError: If the encoder's tables and what the optimizer keeps of them do not fit into memory.
    """
    _check_local(config, data)
    graph, dataset = data.graph, data.dataset
    given = features if config.encoder_takes_text else None
    _check_memory(config, data, given)
    seed_torch(config.seed, "encoder")
    encoder = ENCODERS.create(config.encoder or {}, dataset.num_users, dataset.num_items, given)
    model = SegmentRecommender(encoder).to(graph.device)
    model.encoder.warm_start(graph)
    if progress.ranks is not None and progress.stage == 1:
        with clock("encoder"):
            progress.global_value = lead(config, data, model, progress, tracker).value
    elif progress.stage == 1:
        with clock("encoder"):
            validate = _validation(config, data, model)
            progress.global_value = fit_stage(config, model, graph, validate, progress, tracker).value
    return model


def fit_segmented(
    config: Config,
    data: Prepared,
    model: SegmentRecommender,
    progress: Progress,
    tracker: Tracker,
    clock: Clock,
) -> Fitted:
    """From the global model to what is served: segments, head, term and local model, as far as there are any.

    Args:
        config: With an encoder.
        data: What to train on.
        model: Changed in place.
        progress: Where the run stands, after stage 1.
        tracker: Told of epochs and progress.
        clock: Times the steps.
    """
    decision = mixture = local = None
    if config.segmenter is not None:
        with clock("segments"), tracker.task("segments", 1) as task:
            _add_segments(config, model, data, progress)
            task.advance()
    if config.head is not None:
        decision = _fine_tune(config, data, model, progress, tracker, clock)
    scorer: Scorer = model.scorer(data.graph)
    if config.terms:
        with tracker.task("term", 1) as task:
            terms = item_terms(config, data, clock)
            with clock("fit"):
                scorer, mixture = mix(config, data, scorer, terms)
            task.advance()
    if config.local is not None:
        with clock("local"), tracker.task("local model", 1) as task:
            scorer, local = _add_local(config, data, model, scorer)
            task.advance()
    return Fitted(scorer, model, decision=decision, mixture=mixture, local=local)


def _validation(config: Config, data: Prepared, model: SegmentRecommender) -> Callable[[], float]:
    """The validation metric of the model as it is then; NaN without validation."""

    def validate() -> float:
        if not len(data.choosing):
            return float("nan")
        found = evaluate(model.scorer(data.graph), data.choosing, data.train, [config.choose_by])
        return float(found.per_user[config.choose_by].mean())

    return validate


def _fine_tune(
    config: Config,
    data: Prepared,
    model: SegmentRecommender,
    progress: Progress,
    tracker: Tracker,
    clock: Clock,
) -> dict[str, Any]:
    """Train the head; the validation metric of the global and the segmented model and which is served."""
    progress.stage = 2
    with clock("head"):
        if progress.ranks is not None and trains_together(config):
            best = lead(config, data, model, progress, tracker)
        else:
            validate = _validation(config, data, model)
            best = fit_stage(config, model, data.graph, validate, progress, tracker)
    alone = model.head is not None and not model.head.starts_as_global
    return {
        "metric": config.choose_by,
        "global": progress.global_value,
        "segmented": best.value,
        "epoch": best.epoch,
        "served": "segmented" if best.epoch > 0 or alone else "global",
        "trainable_share": model.trainable_share,
    }


def _check_local(config: Config, data: Prepared) -> None:
    """Raise a ConfigError for a local model without validation: before hours of training, not after."""
    if config.local is not None and not len(data.choosing):
        raise ConfigError(
            "gates of a 'local' model are chosen on validation, which is empty; set 'valid' above 0"
        )


def _check_memory(config: Config, data: Prepared, features: Tensor | None) -> None:
    """Raise a TooLargeError if parameters, gradients, AdamW's two moments and the best state do not fit."""
    width = None if features is None else features.shape[1]
    tables = encoder_bytes(config.encoder or {}, data.dataset.num_users, data.dataset.num_items, width)
    if tables is not None:
        instead = "choose a smaller 'dim', or divide the users among processes (docs/scale.md)"
        require(5 * tables, f"training {(config.encoder or {})['name']}", instead, data.graph.device)


def _add_local(
    config: Config, data: Prepared, model: SegmentRecommender, scorer: Scorer
) -> tuple[Scorer, dict[str, Any]]:
    """Put the local model beside the global scores, as far as validation finds that it helps."""
    _check_local(config, data)
    if model.segmenter is None:
        raise ConfigError("a 'local' model needs a 'segmenter'")
    local = LOCAL_MODELS.create(config.local or {}).fit(data.graph, model.segmenter.memberships)
    rng = numpy_rng(config.seed, "gates")
    gates, about = choose_gates(scorer, local, data.choosing, data.train, config.choose_by, rng)
    return gated(scorer, local, gates, np.diff(data.train.indptr)), about


def _add_segments(config: Config, model: SegmentRecommender, data: Prepared, progress: Progress) -> None:
    """Fit segments on the global model and put an identity head on it; a resumed stage 2 has them already."""
    graph = data.graph
    segmenter = SEGMENTERS.create(config.segmenter or {}).to(graph.device)
    if progress.resumed is None:
        fit_segments(config, data, segmenter, model.embed(graph), progress.ranks)
    else:
        segmenter.load_state_dict(under("model.segmenter.", progress.resumed[0]))
    if config.head is None:
        model.segmenter = segmenter
        return
    seed_torch(config.seed, "head")
    head = HEADS.create(config.head or {}, model.encoder.dim, segmenter.num_segments).to(graph.device)
    model.add_segments(segmenter, head, graph)


def describe_segments(
    config: Config, data: Prepared, model: SegmentRecommender, tracker: Tracker, refit: bool = True
) -> dict[str, Any] | None:
    """Content of ``segments.json``: how many, how good, how different, and the profile of each.

    Args:
        config: With the segmenter's spec.
        data: Whose training part is described.
        model: With fitted segments, or without any.
        tracker: Shown the progress.
        refit: Whether to fit the segmenter three times more, for ``stability``; None is told without.
    """
    segmenter = model.segmenter
    if segmenter is None or config.segmenter is None:
        return None
    spec, graph, dataset = config.segmenter, data.graph, data.dataset
    embedded = model.encoder(graph)
    embeddings = Embeddings(embedded.users.detach(), embedded.items.detach())
    with tracker.task("segment quality", 1) as task:
        rngs = [numpy_rng(config.seed, f"stability {n}") for n in range(3 * refit)]
        fits = refits(lambda: SEGMENTERS.create(spec).to(graph.device), graph, embeddings, rngs, data.users)
        measured = quality(segmenter, graph, embeddings, numpy_rng(config.seed, "quality"), fits)
        task.advance()
    memberships = segmenter.memberships.cpu().numpy()
    with tracker.task("segment profiles", 1) as task:
        rng = numpy_rng(config.seed, "differences")
        apart = differences(graph, memberships, dataset.tags, dataset.texts, rng=rng)
        described = profiles(
            graph,
            memberships,
            dataset.item_names,
            dataset.tags,
            texts=dataset.texts,
            vectors=embeddings.users.cpu().numpy(),
            user_ids=dataset.users.ids,
        )
        task.advance()
    for segment, group in zip(described, segmenter.names or (), strict=False):
        segment["group"] = group
    return {
        "num_segments": segmenter.num_segments,
        "outside": int((strongest(memberships) < 0).sum()),
        "quality": {name: None if i is None else i.mean for name, i in measured.items()},
        "quality_intervals": {name: None if i is None else asdict(i) for name, i in measured.items()},
        "differences": {kind: found.as_dict() for kind, found in apart.items()},
        "segments": described,
    }
