"""Graphs and vectors whose segments are known."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from gnnseg.data import Interactions, UserData
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments import Segmenter

GROUPS = 3


@dataclass(frozen=True)
class Planted:
    """Users in groups that share items and lie close together.

    Attributes:
        graph: Users link mostly to the items of their group.
        embeddings: Users near the axis of their group.
        groups: The group of each user, ``[U]``, in no order.
    """

    graph: BipartiteGraph
    embeddings: Embeddings
    groups: np.ndarray

    @property
    def users(self) -> UserData:
        """A table whose column ``group`` tells, and times: groups are active one after the other."""
        users, items = self.graph.biadjacency().nonzero()
        times = self.groups[users].astype(np.int64) * 1000 + items * 7 % 50
        columns = {"group": np.array([f"g{group:g}" for group in self.groups], dtype=object)}
        return UserData(Interactions(users.astype(np.int64), items.astype(np.int64), times=times), columns)


def plant(
    seed: int = 0,
    users: int = 90,
    items: int = 60,
    groups: int = GROUPS,
    inside: float = 0.4,
    outside: float = 0.02,
    noise: float = 0.1,
    dim: int = 8,
) -> Planted:
    """Draw links with probability ``inside`` a group and ``outside`` of it, and noisy vectors."""
    rng = np.random.default_rng(seed)
    user_groups = rng.permutation(np.arange(users) % groups)
    item_groups = rng.permutation(np.arange(items) % groups)
    chance = np.where(user_groups[:, None] == item_groups, inside, outside)
    links = rng.random(chance.shape) < chance
    vectors = np.eye(dim)[user_groups] + noise * rng.standard_normal((users, dim))
    targets = np.eye(dim)[item_groups] + noise * rng.standard_normal((items, dim))
    return Planted(graph_of(links), embeddings_of(vectors, targets), user_groups)


def graph_of(links: np.ndarray) -> BipartiteGraph:
    """The graph of a dense matrix of links, ``[U, I]``."""
    return BipartiteGraph(sp.csr_matrix(np.asarray(links, dtype=np.float32)))


def embeddings_of(users: np.ndarray, items: np.ndarray | None = None) -> Embeddings:
    """Float32 tensors of users and items; without items, one zero vector."""
    items = np.zeros((1, users.shape[1])) if items is None else items
    return Embeddings(torch.from_numpy(users).float(), torch.from_numpy(items).float())


def fit(segmenter: Segmenter, planted: Planted, seed: int = 0) -> Segmenter:
    """Fit on all that was planted."""
    return segmenter.fit(planted.graph, planted.embeddings, np.random.default_rng(seed), planted.users)


def relabelled(memberships: Tensor, like: Tensor) -> Tensor:
    """Columns of ``memberships`` in the order that is nearest to ``like``."""
    rows, columns = linear_sum_assignment(-(like.T @ memberships).double().numpy())
    assert list(rows) == list(range(len(columns)))
    return memberships[:, torch.from_numpy(columns)]
