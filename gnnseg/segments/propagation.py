"""Communities by label propagation."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from gnnseg.components import PositiveInt
from gnnseg.segments.communities import Communities
from gnnseg.segments.networks import whole


class LabelPropagation(Communities):
    """Every node takes the label that most of its neighbours have (Raghavan et al., arXiv 0709.2938).

    Nodes are visited in a drawn order, in the bipartite graph all users before all items (Barber and Clark,
    arXiv 0903.3138): in a common order one label soon takes the whole graph. That can happen still where
    groups are vague, and then all users are one segment; ``on: users`` is safer. Linear in links.

    Args:
        num_iterations: Visits to every node at most.
        kwargs: Hyper-parameters of :class:`Communities`.
    """

    def __init__(self, *, num_iterations: PositiveInt = 100, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_iterations = num_iterations

    def _labels(self, links: sp.csr_matrix, seed: int) -> tuple[np.ndarray, np.ndarray]:
        if self.library != "scikit-network" or not links.nnz:
            return super()._labels(links, seed)
        square = self.on == "users"
        adjacency = links if square else whole(links)
        # scikit-network visits nodes by their number, or draws from NumPy's global state
        rng = np.random.default_rng(seed)
        order = rng.permutation(links.shape[0])
        if not square:
            order = np.concatenate([order, links.shape[0] + rng.permutation(links.shape[1])])
        labels = np.empty(len(order), dtype=np.int64)
        labels[order] = self._scikit_network(adjacency[order][:, order], True, seed, 1.0).labels_
        return (labels, labels) if square else (labels[: links.shape[0]], labels[links.shape[0] :])

    def _scikit_network(self, matrix: sp.csr_matrix, square: bool, seed: int, resolution: float) -> Any:
        from sknetwork import clustering

        return clustering.PropagationClustering(
            self.num_iterations, node_order="index", return_probs=False, return_aggregate=False
        ).fit(matrix)

    def _networkx(self, graph: Any, seed: int, resolution: float, backend: str | None) -> list[set[int]]:
        from networkx.algorithms import community

        options = {} if backend is None else {"backend": backend}
        return list(community.asyn_lpa_communities(graph, weight="weight", seed=seed, **options))

    def _networkit(self, graph: Any, resolution: float) -> Any:
        from networkit import community

        return community.PLP(graph, maxIterations=self.num_iterations)
