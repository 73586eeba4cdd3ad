"""An item-item model for each segment."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.sparse as sp
from pydantic import BeforeValidator
from torch import Tensor

from gnnseg.baselines import BASELINES, ItemItem
from gnnseg.components import PositiveInt, Probability, Spec
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph
from gnnseg.local.base import LocalModel
from gnnseg.scoring import LocalScorer, MemberItems

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
            weights.append(_largest(found, self.num_neighbors))
        return MemberItems.build(matrix, weights, memberships).to(memberships.device)


def _largest(weights: np.ndarray | sp.csr_matrix, count: int) -> sp.csr_matrix:
    """The ``count`` entries of the largest size in each column of ``[I, I]``."""
    if sp.issparse(weights):
        columns = sp.csr_matrix(weights.T)
        row = np.repeat(np.arange(columns.shape[0]), np.diff(columns.indptr))
        order = np.lexsort((columns.indices, -np.abs(columns.data), row))
        kept = order[np.arange(len(order)) - columns.indptr[row] < count]
        found = sp.csr_matrix((columns.data[kept], (row[kept], columns.indices[kept])), shape=columns.shape)
        return found.T.tocsr()
    count = min(count, len(weights))
    rows = np.argpartition(-np.abs(weights), count - 1, axis=0)[:count]
    values = np.take_along_axis(weights, rows, axis=0)
    columns = np.broadcast_to(np.arange(weights.shape[1]), rows.shape)
    return sp.csr_matrix((values.ravel(), (rows.ravel(), columns.ravel())), shape=weights.shape)
