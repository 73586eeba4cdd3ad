"""Segments from the graph alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.data import UserData
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Segmenter, as_seed, check_users, soft_assign, spread
from gnnseg.segments.neighbors import nearest_users
from gnnseg.segments.networks import as_networkit, by_networkx, whole


class Communities(Segmenter):
    """Communities of densely linked nodes; how many there are follows from the graph.

    A fitted user's membership is the share of its links that lead into each community. Communities with
    too few users are left out, and links into them do not count. Users known only by their vectors are
    assigned by the distance to the communities' mean directions. A graph without links is one community.

    Args:
        on: The bipartite graph, or the graph of each user's nearest users by shared items (cosine).
        num_neighbors: Nearest users kept where ``on`` is ``users``.
        min_users: Communities with fewer users are left out; the largest always stays.
        library: ``scikit-network`` on sparse matrices, ``networkx``, ``networkx:<backend>``, or ``networkit``
            (extra), on every thread; with more than one, a fit need not repeat another.
        temperature: Softness of the assignment by vectors.

    Raises:
        ConfigError: For an unknown ``library``.
    """

    centres: Tensor
    width: Tensor

    def __init__(
        self,
        *,
        on: Literal["bipartite", "users"] = "bipartite",
        num_neighbors: PositiveInt = 20,
        min_users: PositiveInt = 10,
        library: str = "scikit-network",
        temperature: PositiveFloat = 0.25,
    ) -> None:
        super().__init__()
        name, colon, backend = library.partition(":")
        if library not in ("scikit-network", "networkit") and (
            name != "networkx" or bool(colon) != bool(backend)
        ):
            raise ConfigError(
                f"'library' must be scikit-network, networkit or networkx[:backend] (got {library!r})"
            )
        self.on = on
        self.num_neighbors = num_neighbors
        self.min_users = min_users
        self.library = library
        self.temperature = temperature

    @abstractmethod
    def _scikit_network(self, matrix: sp.csr_matrix, square: bool, seed: int, resolution: float) -> Any:
        """The estimator of scikit-network, fitted."""

    @abstractmethod
    def _networkx(self, graph: Any, seed: int, resolution: float, backend: str | None) -> list[set[int]]:
        """Communities of a networkx graph."""

    @abstractmethod
    def _networkit(self, graph: Any, resolution: float) -> Any:
        """The algorithm of networkit, not yet run."""

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        """Find communities and the mean direction of each."""
        check_users(embeddings.users, 1)
        links = graph.biadjacency() if self.on == "bipartite" else nearest_users(graph, self.num_neighbors)
        seed = as_seed(rng)
        user_labels, target_labels = self._labels(links, seed)
        keep = _large(user_labels, self.min_users)
        targets = one_hot(target_labels, keep)
        counts = np.asarray((links @ targets).todense(), dtype=np.float64)
        directions = F.normalize(embeddings.users.detach(), dim=1)
        shares = torch.from_numpy(counts / np.maximum(counts.sum(1, keepdims=True), 1e-12)).to(directions)
        self._learn_centres(directions, shares)
        linked = (shares.sum(1, keepdim=True) > 0.5).to(shares)
        by_vectors = soft_assign(directions, self.centres, self.width)
        between = (one_hot(user_labels, keep).T @ links @ targets).tocsr()
        self._learn_memberships(linked * shares + (1 - linked) * by_vectors, between, seed)
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``."""
        self.check_learned("centres")
        return soft_assign(F.normalize(users, dim=1), self.centres, self.width)

    def _learn_memberships(self, memberships: Tensor, between: sp.csr_matrix, seed: int) -> None:
        """Store memberships ``[U, S]``, given the links from users to targets of communities, ``[S, S]``."""
        self.learned(memberships=memberships)

    def _learn_centres(self, directions: Tensor, shares: Tensor) -> None:
        labels = shares.argmax(1)
        sums = (
            torch.zeros(shares.shape[1], directions.shape[1]).to(directions).index_add(0, labels, directions)
        )
        centres = sums / labels.bincount(minlength=shares.shape[1]).clamp(min=1).unsqueeze(1)
        self.learned(centres=centres, width=self.temperature * spread(directions, centres, labels))

    def _labels(self, links: sp.csr_matrix, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the rows and of the columns of ``links``; the same where it is square."""
        if not links.nnz:
            return np.zeros(links.shape[0], dtype=np.int64), np.zeros(links.shape[1], dtype=np.int64)
        square = self.on == "users"
        if self.library == "scikit-network":
            model = self._scikit_network(links, square, seed, self._resolution)
            return (model.labels_, model.labels_) if square else (model.labels_row_, model.labels_col_)
        labels = self._of_nodes(links if square else whole(links), seed, self._resolution)
        return (labels, labels) if square else (labels[: links.shape[0]], labels[links.shape[0] :])

    @property
    def _resolution(self) -> float:
        return 1.0

    def _of_nodes(self, adjacency: sp.csr_matrix, seed: int, resolution: float) -> np.ndarray:
        """Labels of the nodes of a symmetric matrix by networkx or networkit, largest first."""
        if self.library == "networkit":
            network = as_networkit(adjacency, seed, type(self).__name__)
            found = self._networkit(network, resolution).run().getPartition()
            return np.asarray(found.getVector(), dtype=np.int64)
        backend = self.library.partition(":")[2] or None
        return by_networkx(
            adjacency,
            lambda network: self._networkx(network, seed, resolution, backend),
            f"{type(self).__name__}: library '{self.library}' cannot be used",
        )


def one_hot(labels: np.ndarray, keep: np.ndarray) -> sp.csr_matrix:
    """Labels ``[n]`` as rows of an identity over those in ``keep [S]``, others zero, ``[n, S]``."""
    order = np.argsort(keep)
    place = order[np.searchsorted(keep, labels, sorter=order).clip(max=len(keep) - 1)]
    known = np.flatnonzero(keep[place] == labels)
    return sp.csr_matrix((np.ones(len(known)), (known, place[known])), shape=(len(labels), len(keep)))


def _large(labels: np.ndarray, min_users: int) -> np.ndarray:
    """Labels with at least ``min_users`` members, largest first; at least one."""
    found, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    keep: np.ndarray = found[order][counts[order] >= min_users]
    return keep if len(keep) else found[order][:1]
