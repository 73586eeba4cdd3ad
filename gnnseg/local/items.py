"""An item-item model for each segment."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import BeforeValidator
from torch import Tensor

from gnnseg.baselines import BASELINES, ItemItem
from gnnseg.components import PositiveInt, Probability, Spec
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph
from gnnseg.local.base import LocalModel
from gnnseg.scoring import LocalScorer, MemberItems
from gnnseg.sparse import largest

ItemModel = Annotated[Spec, BeforeValidator(BASELINES.resolve)]
"""Spec of an item-item baseline, resolved."""


class LocalItems(LocalModel):
    """``sum_s p_us R_u W_s``: an item-item model of each segment, as in LOCA (10.1145/3437963.3441763).

    The model of a segment is fitted on all users, each counting ``width + (1 - width) p_us``: the kernel of
    training is wider than that of serving, as the paper found necessary. Departures: the global model is
    added with gates that are chosen on validation, and segments come from a segmenter, not from anchors.

    Args:
        model: An item-item baseline that can weigh users, as a spec.
        width: Weight in training of a user who is not in the segment, where one who is has 1.
        num_neighbors: Entries kept for each item, those of the largest size.

    Raises:
        ConfigError: If ``model`` is not an item-item baseline.
    """

    def __init__(
        self,
        *,
        model: ItemModel = "EASE",
        width: Probability = 0.4,
        num_neighbors: PositiveInt = 200,
    ) -> None:
        made = BASELINES.create(model)
        if not isinstance(made, ItemItem):
            raise ConfigError(
                f"LocalItems: 'model' must be an item-item baseline, such as EASE (got {model!r})"
            )
        self.model = made
        self.width = width
        self.num_neighbors = num_neighbors

    def fit(self, graph: BipartiteGraph, memberships: Tensor) -> LocalScorer:
        """Fit the model of each segment, one after another."""
        matrix = graph.biadjacency()
        weights = []
        for share in memberships.double().cpu().numpy().T:
            found = self.model.item_weights(matrix, self.width + (1 - self.width) * share)
            columns = found.T if isinstance(found, np.ndarray) else found.T.tocsr()
            weights.append(largest(columns, self.num_neighbors).T)
        return MemberItems.build(matrix, weights, memberships).to(memberships.device)
