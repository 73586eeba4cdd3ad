"""Models without embeddings, fitted in one go."""

from __future__ import annotations

from abc import ABC, abstractmethod

from gnnseg.components import Component
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import Scorer


class Baseline(Component, ABC):
    """A recommender that is fitted in closed form or by counting."""

    @abstractmethod
    def fit(self, graph: BipartiteGraph) -> Scorer:
        """Learn from the training graph.

        Args:
            graph: ``U`` users, ``I`` items.

        Returns:
            A scorer for the graph's users.
        """
