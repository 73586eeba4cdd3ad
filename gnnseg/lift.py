"""What the segments of a saved run would bring, were they others."""

from __future__ import annotations

from collections.abc import Callable

import torch

from gnnseg.checkpoint import SavedRun, graph_of
from gnnseg.errors import ConfigError
from gnnseg.gates import choose_gates
from gnnseg.local import LOCAL_MODELS
from gnnseg.prepared import prepare_again
from gnnseg.scoring import DotProduct, Gated, Mixture, Scorer
from gnnseg.seeding import numpy_rng
from gnnseg.segments import Segmenter
from gnnseg.segments.choice import Gain

LOCAL = "Lift"
"""The local model where a run has none: its fit is a matter of counting."""


def lift_of(saved: SavedRun, seed: int) -> Callable[[Segmenter], Gain]:
    """A measure of segmenters: the relative gain of a local model beside the global one, on validation.

    Gates are chosen on four folds of at most ``gates.MAX_USERS`` validation users and read on the fifth, all
    segmenters on the same users and folds.

    Args:
        saved: Its data, global model and local model, or ``Lift`` where it has none.
        seed: Draws users and folds.

    Raises:
        CheckpointError: If its data have changed.
        ConfigError: If it has no encoder or no validation.
    """
    data, config = prepare_again(saved, torch.device("cpu")), saved.config
    if not len(data.choosing):
        raise ConfigError("the lift is measured on validation, which is empty; set 'valid' above 0")
    whole = _global(saved)

    def lift(segmenter: Segmenter) -> Gain:
        local = LOCAL_MODELS.create(config.local or LOCAL).fit(data.graph, segmenter.memberships)
        rng = numpy_rng(seed, "lift")
        _, about = choose_gates(whole, local, data.choosing, data.train, config.choose_by, rng)
        return Gain(about["relative"], about["low"], about["high"])

    return lift


@torch.no_grad()
def _global(saved: SavedRun) -> Scorer:
    """The run's scorer without head and local model; its term stays."""
    scorer = saved.scorer.whole if isinstance(saved.scorer, Gated) else saved.scorer
    if saved.config.head is None:
        return scorer
    model = saved.model()
    if model is None:
        raise ConfigError(f"'{saved.folder}' has no encoder whose segments could be others")
    plain = DotProduct(*model.encoder(graph_of(saved)))
    if isinstance(scorer, Mixture):
        return Mixture([plain, *list(scorer.scorers)[1:]], scorer.weights)  # type: ignore[list-item]
    return plain
