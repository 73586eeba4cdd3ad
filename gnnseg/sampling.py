"""Items a user did not interact with, drawn in vectorised steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gnnseg.batch import Batch
from gnnseg.components import Component, Kind, NonNegativeFloat, PositiveInt
from gnnseg.errors import DataError
from gnnseg.graph import BipartiteGraph, Embeddings

__all__ = ["SAMPLERS", "DynamicHard", "InBatch", "NegativeSampler", "Popularity", "Uniform"]

TRIES = 5
"""Draws after which an item that the user has is replaced by a uniform one that the user lacks."""


_BLOCK = 2**20
"""Edges numbered at once."""


class NegativeSampler(Component, ABC):
    """Draws items that a user has no edge to.

    Args:
        graph: The graph whose edges are avoided.

    Raises:
        DataError: If a user has every item.
    """

    def __init__(self, graph: BipartiteGraph) -> None:
        matrix = graph.biadjacency()
        count = np.diff(matrix.indptr)
        if len(count) and count.max() >= graph.num_items:
            raise DataError(
                f"a user has all {graph.num_items} items, so there are no negatives; remove such users"
            )
        self.graph = graph
        self._stride = graph.num_items + 1
        first_less = np.arange(graph.num_users) * self._stride + matrix.indptr[:-1].astype(np.int64)
        shifted = np.repeat(first_less, count)  # in place from here on: 8 bytes an edge, and none beside
        shifted += matrix.indices
        for start in range(0, len(shifted), _BLOCK):
            shifted[start : start + _BLOCK] -= np.arange(start, min(start + _BLOCK, len(shifted)))
        self._shifted = torch.from_numpy(shifted).to(graph.device)
        self._first = torch.from_numpy(matrix.indptr[:-1].astype(np.int64)).to(graph.device)
        self._free = torch.from_numpy(graph.num_items - count.astype(np.int64)).to(graph.device)

    @cached_property
    def _keys(self) -> Tensor:
        """``user * (I + 1) + item`` of each edge, ascending, ``[n]``; only some samplers need it."""
        matrix = self.graph.biadjacency()
        user = np.repeat(np.arange(self.graph.num_users), np.diff(matrix.indptr))
        return torch.from_numpy(user * self._stride + matrix.indices).to(self.graph.device)

    @abstractmethod
    def draw(self, batch: Batch, tables: Embeddings, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``count`` items for each user of a batch.

        Args:
            batch: Its ``users``, ``[b]``, and the pairs it is made of.
            tables: Embeddings as they are in this step; nothing is learned through them here.
            count: ``K``.
            generator: On the graph's device; the only source of randomness.

        Returns:
            Rows of items that the users lack, ``[b, K]``.
        """

    def log_q(self, users: Tensor, items: Tensor) -> Tensor | None:
        """Log of how much likelier than in a uniform draw items were, ``[b, K]``; None: not at all.

        Args:
            users: ``[b]``.
            items: Drawn for them, ``[b, K]``.
        """
        return None

    def uniform(self, users: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Items drawn uniformly from those that each user lacks, exactly and without rejection.

        The ``j``-th item that a user with sorted items ``s_0 < s_1 < ...`` does not have is
        ``j + #{i: s_i - i <= j}``, which one binary search over all users' shifted items finds.

        Args:
            users: Rows of users, ``[b]``.
            count: ``K``.
            generator: On the graph's device.

        Returns:
            Rows of items, ``[b, K]``.
        """
        uniform = torch.rand(len(users), count, generator=generator, device=users.device, dtype=torch.float64)
        return self.lacked(users, uniform)

    def lacked(self, users: Tensor, uniform: Tensor) -> Tensor:
        """The items at given places among those that each user lacks.

        Args:
            users: Rows of users, ``[b]``.
            uniform: Places from 0 to 1, ``[b, K]`` float64.

        Returns:
            Rows of items, ``[b, K]``.
        """
        free = self._free[users].unsqueeze(1)
        place = torch.minimum((uniform * free).long(), free - 1)
        key = users.unsqueeze(1) * self._stride + place
        return place + torch.searchsorted(self._shifted, key, right=True) - self._first[users].unsqueeze(1)

    def own(self, users: Tensor, items: Tensor) -> Tensor:
        """Whether users ``[b]`` have items ``[b, K]``, by binary search, ``[b, K]``."""
        key = users.unsqueeze(1) * self._stride + items
        place = torch.searchsorted(self._keys, key).clamp(max=max(len(self._keys) - 1, 0))
        return self._keys[place] == key if len(self._keys) else torch.zeros_like(key, dtype=torch.bool)


class Uniform(NegativeSampler):
    """Uniformly from the items that the user lacks."""

    def draw(self, batch: Batch, tables: Embeddings, count: int, generator: torch.Generator) -> Tensor:
        """Rows of items, ``[b, K]``."""
        return self.uniform(batch.users, count, generator)


class _Proposing(NegativeSampler):
    """Draws from one distribution for all users, and again where a user has the item.

    After ``TRIES`` draws a uniform item that the user lacks takes the place of one that it has.

    Args:
        graph: The graph whose edges are avoided.
        weights: What an item's probability is proportional to, ``[I]`` float64.
    """

    def __init__(self, graph: BipartiteGraph, weights: Tensor) -> None:
        super().__init__(graph)
        self._weights = weights
        own = torch.from_numpy(graph.biadjacency() @ weights.cpu().numpy()).to(graph.device)
        self._scale = self._free / (weights.sum() - own).clamp(min=torch.finfo(torch.float64).tiny)

    @abstractmethod
    def propose(self, batch: Batch, count: int, generator: torch.Generator) -> Tensor:
        """Rows of items, whoever the user is, ``[b, K]``."""

    def draw(self, batch: Batch, tables: Embeddings, count: int, generator: torch.Generator) -> Tensor:
        """Rows of items, ``[b, K]``."""
        drawn = self.propose(batch, count, generator)
        for _ in range(TRIES - 1):
            again = self.propose(batch, count, generator)
            drawn = torch.where(self.own(batch.users, drawn), again, drawn)
        others = self.uniform(batch.users, count, generator)
        return torch.where(self.own(batch.users, drawn), others, drawn)

    def log_q(self, users: Tensor, items: Tensor) -> Tensor:
        """``log (w_i |free| / sum_free w)``; 0 for items of weight 0, which come from the uniform draw."""
        weights = self._weights[items]
        ratio = torch.where(weights > 0, weights * self._scale[users].unsqueeze(1), 1.0)
        return ratio.log().float()


class Popularity(_Proposing):
    """Items by ``degree^exponent``, the unigram distribution of word2vec (arXiv 1310.4546, section 2.2).

    Args:
        graph: The graph whose edges are avoided.
        exponent: 0 is uniform, 1 as often as in the data.
    """

    def __init__(self, graph: BipartiteGraph, *, exponent: NonNegativeFloat = 0.75) -> None:
        weights = graph.unstack(graph.degrees).items.double().pow(exponent)
        super().__init__(graph, weights)
        cumulated = weights.cumsum(0)
        self._cumulated = cumulated / cumulated[-1]

    def propose(self, batch: Batch, count: int, generator: torch.Generator) -> Tensor:
        """Rows of items, ``[b, K]``, by inversion of the cumulated distribution."""
        size, device = (len(batch.users), count), batch.users.device
        uniform = torch.rand(size, generator=generator, device=device, dtype=torch.float64)
        return torch.searchsorted(self._cumulated, uniform, right=True).clamp(max=self.graph.num_items - 1)


class InBatch(_Proposing):
    """Items of the batch's pairs, as often as they stand there, hence by popularity.

    For the correction of a softmax the probability is the one over all batches, an item's share of the
    interactions (Yi et al. 2019, doi 10.1145/3298689.3346996).

    Args:
        graph: The graph whose edges are avoided.
    """

    def __init__(self, graph: BipartiteGraph) -> None:
        super().__init__(graph, graph.unstack(graph.degrees).items.double())

    def propose(self, batch: Batch, count: int, generator: torch.Generator) -> Tensor:
        """Rows of items, ``[b, K]``."""
        size, device = (len(batch.users), count), batch.users.device
        return batch.items[torch.randint(len(batch.items), size, generator=generator, device=device)]


class DynamicHard(NegativeSampler):
    """The best scored of some uniform items (Zhang et al. 2013, doi 10.1145/2484028.2484126).

    Args:
        graph: The graph whose edges are avoided.
        pool: How many uniform items are drawn for each that is kept.
    """

    def __init__(self, graph: BipartiteGraph, *, pool: PositiveInt = 4) -> None:
        super().__init__(graph)
        self.pool = pool

    @torch.no_grad()
    def draw(self, batch: Batch, tables: Embeddings, count: int, generator: torch.Generator) -> Tensor:
        """Rows of items, ``[b, K]``."""
        drawn = self.uniform(batch.users, self.pool * count, generator)
        items = tables.items[drawn]
        scores = batch.drawn_scores(tables.users[batch.users], items)
        return drawn.gather(1, scores.topk(count, dim=1).indices)


SAMPLERS: Kind[NegativeSampler] = Kind("sampler", NegativeSampler, "gnnseg.sampling")
