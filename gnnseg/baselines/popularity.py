"""What everybody likes."""

from __future__ import annotations

from gnnseg.baselines.base import Baseline
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import Constant, Scorer


class Popularity(Baseline):
    """Items by their number of interactions, the same for every user."""

    def fit(self, graph: BipartiteGraph) -> Scorer:
        """Count."""
        return Constant(graph.unstack(graph.degrees.cpu()).items)
