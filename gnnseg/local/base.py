"""A model for each segment, fitted in closed form."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from gnnseg.components import Component
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import LocalScorer


class LocalModel(Component, ABC):
    """What the users of a segment have in common, to be added to the scores of the global model.

    Its scores are small numbers, in standard deviations of a user's global scores; how much each user gets
    of them is a matter of gates (:mod:`gnnseg.gates`).
    """

    @abstractmethod
    def fit(self, graph: BipartiteGraph, memberships: Tensor) -> LocalScorer:
        """Learn a model for each segment.

        Args:
            graph: The training graph, ``U`` users and ``I`` items.
            memberships: Rows sum to one, or to zero for users in no segment, ``[U, S]``.

        Returns:
            Scores of the graph's users; all zero for users in no segment.
        """
