"""Items a user did not interact with, drawn in one vectorised step."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnseg.errors import DataError
from gnnseg.graph import BipartiteGraph


class UniformNegatives:
    """Draws items uniformly from those that the user has no edge to, exactly and without rejection.

    The ``j``-th item that a user with sorted items ``s_0 < s_1 < ...`` does not have is
    ``j + #{i: s_i - i <= j}``, which one binary search over all users' shifted items finds.

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
        user = np.repeat(np.arange(graph.num_users), count)
        place = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], count)
        self._stride = graph.num_items + 1
        self._shifted = torch.from_numpy(user * self._stride + matrix.indices - place).to(graph.device)
        self._first = torch.from_numpy(matrix.indptr[:-1].astype(np.int64)).to(graph.device)
        self._free = torch.from_numpy(graph.num_items - count.astype(np.int64)).to(graph.device)

    def draw(self, users: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``count`` items for each user.

        Args:
            users: Rows of users, ``[B]``.
            count: ``K``.
            generator: On the graph's device.

        Returns:
            Rows of items, ``[B, K]``.
        """
        uniform = torch.rand(len(users), count, generator=generator, device=users.device, dtype=torch.float64)
        free = self._free[users].unsqueeze(1)
        place = torch.minimum((uniform * free).long(), free - 1)
        key = users.unsqueeze(1) * self._stride + place
        return place + torch.searchsorted(self._shifted, key, right=True) - self._first[users].unsqueeze(1)
