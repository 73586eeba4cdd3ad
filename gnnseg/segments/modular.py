"""Communities of large modularity."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.components import NonNegativeInt, PositiveFloat
from gnnseg.errors import ConfigError
from gnnseg.segments.communities import Communities, one_hot


class Modular(Communities):
    """Communities of large modularity, whose resolution decides how many there are, at one or more levels.

    A level of ``coarser`` joins the communities of the level below, found among them as they were among the
    nodes (Blondel et al., arXiv 0803.0476, second phase), so levels are nested. :meth:`at` gives each.

    Args:
        resolution: Above 1 more and smaller communities, below 1 fewer and larger (arXiv 0812.1770).
        coarser: Resolutions of further levels, each below the one before.
        level: Which level's communities are the segments: 0 those of ``resolution``, 1 the first of
            ``coarser``, and so on.
        kwargs: Hyper-parameters of :class:`Communities`.

    Raises:
        ConfigError: If ``coarser`` does not fall, or has no such ``level``.
    """

    parents: Tensor
    finest: Tensor

    def __init__(
        self,
        *,
        resolution: PositiveFloat = 1.0,
        coarser: Sequence[PositiveFloat] = (),
        level: NonNegativeInt = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if any(above >= below for below, above in pairwise([resolution, *coarser])):
            raise ConfigError(
                f"'coarser' must hold resolutions that fall from 'resolution' {resolution:g} on "
                f"(got {list(coarser)})"
            )
        if level > len(coarser):
            raise ConfigError(f"'level' must be at most the number of 'coarser' {len(coarser)} (got {level})")
        self.resolution = resolution
        self.coarser = tuple(coarser)
        self.level = level

    @property
    def _resolution(self) -> float:
        return self.resolution

    def forward(self, users: Tensor) -> Tensor:
        """``[B, d] -> [B, S]``."""
        return self._joined(super().forward(users), self.level)

    def at(self, level: int) -> Tensor:
        """Memberships of the fitted users at a level, 0 the finest, ``[U, S_level]``.

        Raises:
            ConfigError: If there is no such level.
            NotFittedError: Before :meth:`fit`.
        """
        self.check_learned("finest")
        if not 0 <= level <= len(self.coarser):
            raise ConfigError(f"'level' must be from 0 to {len(self.coarser)} (got {level})")
        return self._joined(self.finest, level)

    def _joined(self, memberships: Tensor, level: int) -> Tensor:
        """Memberships of the finest communities summed to those of a level."""
        if level == 0:
            return memberships
        parents = self.parents[level - 1].long()
        sums = memberships.new_zeros(len(memberships), int(parents.max()) + 1)
        return sums.index_add(1, parents, memberships)

    def _learn_memberships(self, memberships: Tensor, between: sp.csr_matrix, seed: int) -> None:
        current, parents = np.arange(between.shape[0]), []
        for resolution in self.coarser:
            labels = self._of_communities(between, seed, resolution)
            joins = one_hot(labels, np.arange(labels.max() + 1))
            between = (joins.T @ between @ joins).tocsr()
            current = labels[current]
            parents.append(current)
        device = memberships.device
        levels = np.array(parents, dtype=np.float32).reshape(len(parents), memberships.shape[1])
        self.learned(parents=torch.from_numpy(levels).to(device), finest=memberships)
        self.learned(memberships=self._joined(memberships, self.level))

    def _of_communities(self, between: sp.csr_matrix, seed: int, resolution: float) -> np.ndarray:
        """Labels ``[S]`` of communities, given the links from each to each; a community's own count."""
        if between.shape[0] == 1 or not between.nnz:
            return np.zeros(between.shape[0], dtype=np.int64)
        if self.library == "scikit-network":
            labels = self._scikit_network(between, True, seed, resolution).labels_
        else:  # undirected, where a link inside a community stands once
            both = (between + between.T - sp.diags(between.diagonal())).tocsr()
            labels = self._of_nodes(both, seed, resolution)
        return np.unique(labels, return_inverse=True)[1].reshape(-1)


class Louvain(Modular):
    """Greedy modularity (Blondel et al., arXiv 0803.0476); Barber's bipartite form (arXiv 0707.1616).

    Args:
        kwargs: Hyper-parameters of :class:`Modular`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def _scikit_network(self, matrix: sp.csr_matrix, square: bool, seed: int, resolution: float) -> Any:
        from sknetwork import clustering

        model = clustering.Louvain(resolution, shuffle_nodes=True, random_state=seed)
        return model.fit(matrix, force_bipartite=not square)

    def _networkx(self, graph: Any, seed: int, resolution: float, backend: str | None) -> list[set[int]]:
        from networkx.algorithms import community

        options = {} if backend is None else {"backend": backend}
        return list(community.louvain_communities(graph, resolution=resolution, seed=seed, **options))

    def _networkit(self, graph: Any, resolution: float) -> Any:
        from networkit import community

        return community.PLM(graph, refine=True, gamma=resolution)


class Leiden(Modular):
    """Louvain with a refinement that keeps communities connected (Traag et al., arXiv 1810.08473).

    networkx itself has no Leiden: with ``library: networkx`` a backend must be named that has.

    Args:
        kwargs: Hyper-parameters of :class:`Modular`.

    Raises:
        ConfigError: For ``library: networkx`` without a backend.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if self.library == "networkx":
            raise ConfigError(
                "Leiden needs 'library: scikit-network' or a networkx backend that has it, such as "
                "'networkx:cugraph' (got 'networkx')"
            )

    def _scikit_network(self, matrix: sp.csr_matrix, square: bool, seed: int, resolution: float) -> Any:
        from sknetwork import clustering

        _seed_c_library(seed)
        model = clustering.Leiden(resolution, shuffle_nodes=True, random_state=seed)
        return model.fit(matrix, force_bipartite=not square)

    def _networkx(self, graph: Any, seed: int, resolution: float, backend: str | None) -> list[set[int]]:
        from networkx.algorithms import community

        return list(community.leiden_communities(graph, resolution=resolution, seed=seed, backend=backend))

    def _networkit(self, graph: Any, resolution: float) -> Any:
        from networkit import community

        return community.ParallelLeiden(graph, gamma=resolution)


def _seed_c_library(seed: int) -> None:
    """Seed C's ``rand``, which scikit-network's Leiden refines with whatever its ``random_state`` says."""
    library = ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None)
    library.srand(ctypes.c_uint(seed))
