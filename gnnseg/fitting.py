"""From a config and prepared data to a fitted model: stage 1, segments, stage 2."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from torch import Tensor

from gnnseg.baselines import BASELINES
from gnnseg.config import Config
from gnnseg.encoders import ENCODERS
from gnnseg.evaluation import evaluate
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.heads import HEADS
from gnnseg.mixing import mix
from gnnseg.model import SegmentRecommender
from gnnseg.prepared import Prepared, item_features
from gnnseg.scoring import Scorer
from gnnseg.seeding import numpy_rng, seed_torch
from gnnseg.segments import SEGMENTERS
from gnnseg.segments.differences import differences
from gnnseg.segments.lifts import strongest
from gnnseg.segments.profiles import profiles
from gnnseg.segments.quality import quality, refits
from gnnseg.stages import Progress, fit_stage
from gnnseg.tracking import Clock, Tracker


class Fitted(NamedTuple):
    """A fitted model before any test.

    Attributes:
        scorer: What ranks.
        model: The model, or None for a baseline.
        decision: With segments, the validation metric of both models and which of them is served.
        features: Text features of the items, ``[I, f]``, or None.
        text: What features were made with.
        mixture: With an item-item term, its weight and the validation metric under each that was tried.
    """

    scorer: Scorer
    model: SegmentRecommender | None
    decision: dict[str, Any] | None
    features: Tensor | None
    text: dict[str, Any] | None
    mixture: dict[str, Any] | None = None


def fit_scorer(config: Config, data: Prepared, progress: Progress, tracker: Tracker, clock: Clock) -> Fitted:
    """Fit a baseline, or features and a model, on train and validation alone.

    Args:
        config: What to fit.
        data: What to train on.
        progress: Where the run stands; a resumed one goes on from there.
        tracker: Told of epochs and progress.
        clock: Times the steps.
    """
    features, text = item_features(config, data, tracker, clock)
    if config.baseline is not None:
        with clock("fit"):
            scorer = BASELINES.create(config.baseline).fit(data.graph).to(data.graph.device)
        return Fitted(scorer, None, None, features, text)
    model, decision = fit_model(config, data, features, progress, tracker, clock)
    scorer, mixture = model.scorer(data.graph), None
    if config.term is not None:
        with clock("fit"), tracker.task("term", 1) as task:
            scorer, mixture = mix(config, data, scorer)
            task.advance()
    return Fitted(scorer, model, decision, features, text, mixture)


def fit_model(
    config: Config,
    data: Prepared,
    features: Tensor | None,
    progress: Progress,
    tracker: Tracker,
    clock: Clock,
) -> tuple[SegmentRecommender, dict[str, Any] | None]:
    """Train the encoder, find segments, fine-tune the head.

    Args:
        config: With an encoder.
        data: What to train on.
        features: Text features of the items, ``[I, f]``, or None.
        progress: Where the run stands; a resumed one goes on from there.
        tracker: Told of epochs and progress.
        clock: Times the steps.

    Returns:
        The model, and with segments the validation metric of the global and of the segmented model and
        which of them is served.
    """
    graph, dataset = data.graph, data.dataset
    seed_torch(config.seed, "encoder")
    encoder = ENCODERS.create(config.encoder or {}, dataset.num_users, dataset.num_items, features)
    model = SegmentRecommender(encoder).to(graph.device)
    model.encoder.warm_start(graph)

    def validate() -> float:
        if not len(data.parts.valid):
            return float("nan")
        found = evaluate(model.scorer(graph), data.parts.valid, data.train, [config.choose_by])
        return float(found.per_user[config.choose_by].mean())

    if progress.stage == 1:
        with clock("encoder"):
            progress.global_value = fit_stage(config, model, graph, validate, progress, tracker).value
    if config.segmenter is None or config.head is None:
        return model, None
    with clock("segments"), tracker.task("segments", 1) as task:
        _add_segments(config, model, graph, progress)
        task.advance()
    progress.stage = 2
    with clock("head"):
        best = fit_stage(config, model, graph, validate, progress, tracker)
    decision = {
        "metric": config.choose_by,
        "global": progress.global_value,
        "segmented": best.value,
        "epoch": best.epoch,
        "served": "segmented" if best.epoch > 0 else "global",
    }
    return model, decision


def _add_segments(
    config: Config, model: SegmentRecommender, graph: BipartiteGraph, progress: Progress
) -> None:
    """Fit segments on the global model and put an identity head on it; stage 2 resumed needs sizes only."""
    segmenter = SEGMENTERS.create(config.segmenter or {}).to(graph.device)
    if progress.resumed is None:
        segmenter.fit(graph, model.embed(graph), numpy_rng(config.seed, "segments"))
        num_segments = segmenter.num_segments
    else:
        num_segments = progress.resumed[0]["model.segmenter.memberships"].shape[1]
    seed_torch(config.seed, "head")
    head = HEADS.create(config.head or {}, model.encoder.dim, num_segments).to(graph.device)
    model.add_segments(segmenter, head)


def describe_segments(
    config: Config, data: Prepared, model: SegmentRecommender, tracker: Tracker
) -> dict[str, Any] | None:
    """Content of ``segments.json``: how many, how good, how different, and the profile of each."""
    segmenter = model.segmenter
    if segmenter is None or config.segmenter is None:
        return None
    spec, graph, dataset = config.segmenter, data.graph, data.dataset
    embedded = model.encoder(graph)
    embeddings = Embeddings(embedded.users.detach(), embedded.items.detach())
    with tracker.task("segment quality", 1) as task:
        rngs = [numpy_rng(config.seed, f"stability {n}") for n in range(3)]
        fits = refits(lambda: SEGMENTERS.create(spec).to(graph.device), graph, embeddings, rngs)
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
    return {
        "num_segments": segmenter.num_segments,
        "outside": int((strongest(memberships) < 0).sum()),
        "quality": {name: None if i is None else i.mean for name, i in measured.items()},
        "quality_intervals": {name: None if i is None else asdict(i) for name, i in measured.items()},
        "differences": {kind: found.as_dict() for kind, found in apart.items()},
        "segments": described,
    }
