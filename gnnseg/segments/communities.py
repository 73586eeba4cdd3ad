"""Segments from the graph alone."""

from __future__ import annotations

import ctypes
import sys
from abc import abstractmethod
from typing import Any, Literal, Self

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.components import PositiveFloat, PositiveInt
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Segmenter, as_seed, check_users, soft_assign, spread


class Communities(Segmenter):
    """Communities of densely linked nodes; how many there are follows from the resolution.

    A fitted user's membership is the share of its links that lead into each community. Communities with
    too few users are left out, and links into them do not count. Users known only by their vectors are
    assigned by the distance to the communities' mean directions.

    Args:
        resolution: Above 1 more and smaller communities, below 1 fewer and larger.
        on: The bipartite graph, or the graph of each user's nearest users by shared items (cosine).
        num_neighbors: Nearest users kept where ``on`` is ``users``.
        min_users: Communities with fewer users are left out; the largest always stays.
        library: ``scikit-network`` on sparse matrices, ``networkx``, or ``networkx:<backend>``.
        temperature: Softness of the assignment by vectors.
    """

    centres: Tensor
    width: Tensor

    def __init__(
        self,
        *,
        resolution: PositiveFloat = 1.0,
        on: Literal["bipartite", "users"] = "bipartite",
        num_neighbors: PositiveInt = 20,
        min_users: PositiveInt = 10,
        library: str = "scikit-network",
        temperature: PositiveFloat = 0.25,
    ) -> None:
        super().__init__()
        name, colon, backend = library.partition(":")
        if library != "scikit-network" and (name != "networkx" or bool(colon) != bool(backend)):
            raise ConfigError(f"'library' must be scikit-network or networkx[:backend] (got {library!r})")
        self.resolution = resolution
        self.on = on
        self.num_neighbors = num_neighbors
        self.min_users = min_users
        self.library = library
        self.temperature = temperature

    @abstractmethod
    def _scikit_network(self, seed: int) -> Any:
        """The estimator of scikit-network."""

    @abstractmethod
    def _networkx(self, graph: Any, seed: int, backend: str | None) -> list[set[int]]:
        """Communities of a networkx graph."""

    def fit(self, graph: BipartiteGraph, embeddings: Embeddings, rng: np.random.Generator) -> Self:
        """Find communities and the mean direction of each."""
        check_users(embeddings.users, 1)
        links = graph.biadjacency() if self.on == "bipartite" else nearest_users(graph, self.num_neighbors)
        seed = as_seed(rng)
        if links.nnz:
            user_labels, target_labels = self._labels(links, seed)
        else:
            user_labels, target_labels = (np.zeros(size, dtype=np.int64) for size in links.shape)
        keep = _large(user_labels, self.min_users)
        column = {label: position for position, label in enumerate(keep.tolist())}
        position = np.array([column.get(label, -1) for label in target_labels.tolist()])
        known = position >= 0
        one_hot = sp.csr_matrix(
            (np.ones(known.sum()), (np.flatnonzero(known), position[known])),
            shape=(links.shape[1], len(keep)),
        )
        counts = np.asarray((links @ one_hot).todense(), dtype=np.float64)
        directions = F.normalize(embeddings.users, dim=1)
        shares = torch.from_numpy(counts / np.maximum(counts.sum(1, keepdims=True), 1e-12)).to(directions)
        self._learn_centres(directions, shares)
        linked = (shares.sum(1, keepdim=True) > 0.5).to(shares)
        self.learned(memberships=linked * shares + (1 - linked) * self(embeddings.users))
        return self

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``."""
        self.check_learned("centres")
        return soft_assign(F.normalize(users, dim=1), self.centres, self.width)

    def _learn_centres(self, directions: Tensor, shares: Tensor) -> None:
        labels = shares.argmax(1)
        sums = (
            torch.zeros(shares.shape[1], directions.shape[1]).to(directions).index_add(0, labels, directions)
        )
        centres = sums / labels.bincount(minlength=shares.shape[1]).clamp(min=1).unsqueeze(1)
        self.learned(centres=centres, width=self.temperature * spread(directions, centres, labels))

    def _labels(self, links: sp.csr_matrix, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the rows and of the columns of ``links``; the same where it is square."""
        square = self.on == "users"
        if self.library == "scikit-network":
            model = self._scikit_network(seed).fit(links, force_bipartite=not square)
            return (model.labels_, model.labels_) if square else (model.labels_row_, model.labels_col_)
        import networkx as nx

        _, _, backend = self.library.partition(":")
        whole = links if square else sp.bmat([[None, links], [links.T, None]])
        try:
            found = self._networkx(nx.from_scipy_sparse_array(whole), seed, backend or None)
        except (ImportError, NotImplementedError) as error:
            raise ConfigError(
                f"{type(self).__name__}: library '{self.library}' cannot be used: {error}"
            ) from error
        labels = np.empty(whole.shape[0], dtype=np.int64)
        for label, members in enumerate(sorted(found, key=lambda nodes: (-len(nodes), min(nodes)))):
            labels[list(members)] = label
        return (labels, labels) if square else (labels[: links.shape[0]], labels[links.shape[0] :])


class Louvain(Communities):
    """Greedy modularity (Blondel et al., arXiv 0803.0476); Barber's bipartite form (arXiv 0707.1616).

    Args:
        kwargs: Hyper-parameters of :class:`Communities`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def _scikit_network(self, seed: int) -> Any:
        from sknetwork import clustering

        return clustering.Louvain(self.resolution, shuffle_nodes=True, random_state=seed)

    def _networkx(self, graph: Any, seed: int, backend: str | None) -> list[set[int]]:
        from networkx.algorithms import community

        options = {} if backend is None else {"backend": backend}
        return list(community.louvain_communities(graph, resolution=self.resolution, seed=seed, **options))


class Leiden(Communities):
    """Louvain with a refinement that keeps communities connected (Traag et al., arXiv 1810.08473).

    networkx itself has no Leiden: with ``library: networkx`` a backend must be named that has.

    Args:
        kwargs: Hyper-parameters of :class:`Communities`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.library == "networkx":
            raise ConfigError(
                "Leiden needs 'library: scikit-network' or a networkx backend that has it, such as "
                "'networkx:cugraph' (got 'networkx')"
            )

    def _scikit_network(self, seed: int) -> Any:
        from sknetwork import clustering

        _seed_c_library(seed)
        return clustering.Leiden(self.resolution, shuffle_nodes=True, random_state=seed)

    def _networkx(self, graph: Any, seed: int, backend: str | None) -> list[set[int]]:
        from networkx.algorithms import community

        return list(
            community.leiden_communities(graph, resolution=self.resolution, seed=seed, backend=backend)
        )


def _seed_c_library(seed: int) -> None:
    """Seed C's ``rand``, which scikit-network's Leiden refines with whatever its ``random_state`` says."""
    library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    library.srand(ctypes.c_uint(seed))


def nearest_users(graph: BipartiteGraph, num_neighbors: int, block: int = 1024) -> sp.csr_matrix:
    """Each user's nearest users by cosine of their items, symmetric, ``[U, U]``; isolated users have none."""
    from sklearn.preprocessing import normalize

    rows = normalize(graph.biadjacency(), copy=True)
    parts = []
    for start in range(0, graph.num_users, block):
        similarity = (rows[start : start + block] @ rows.T).tocoo()
        similarity.data[similarity.row + start == similarity.col] = 0
        parts.append(_strongest(similarity.tocsr(), num_neighbors))
    nearest = sp.vstack(parts, format="csr")
    return nearest.maximum(nearest.T).tocsr()


def _strongest(matrix: sp.csr_matrix, count: int) -> sp.csr_matrix:
    """The ``count`` largest positive entries of each row."""
    matrix.eliminate_zeros()
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    place = np.arange(matrix.nnz) - matrix.indptr[row]
    chosen = order[place < count]
    return sp.csr_matrix((matrix.data[chosen], (row[chosen], matrix.indices[chosen])), shape=matrix.shape)


def _large(labels: np.ndarray, min_users: int) -> np.ndarray:
    """Labels with at least ``min_users`` members, largest first; at least one."""
    found, counts = np.unique(labels, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    keep: np.ndarray = found[order][counts[order] >= min_users]
    return keep if len(keep) else found[order][:1]
