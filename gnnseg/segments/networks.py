"""Segments and communities in and out through networkx and networkit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from torch import Tensor

from gnnseg.errors import ConfigError, DataError
from gnnseg.scoring import strongest

if TYPE_CHECKING:
    import networkx as nx


def write_partition(network: nx.Graph, memberships: Tensor, attribute: str = "segment") -> None:
    """Write users' segments into a network made by :meth:`BipartiteGraph.to_networkx`.

    A user carries its strongest segment as ``attribute``, and its share in segment ``s`` as
    ``attribute_s``; who is outside every segment carries nothing. Numbers only, so that GraphML and GEXF hold
    them.

    Args:
        network: Its nodes ``0 .. U-1`` are the users.
        memberships: ``[U, S]``.
        attribute: What to call it.

    Raises:
        DataError: If the network has not as many users.
    """
    nodes = _users(network)
    if len(nodes) != len(memberships):
        raise DataError(f"the network has {len(nodes)} users, memberships are of {len(memberships)}")
    rows = zip(nodes, strongest(memberships).tolist(), memberships.tolist(), strict=True)
    for node, segment, shares in rows:
        if segment >= 0:
            network.nodes[node][attribute] = segment
            network.nodes[node].update({f"{attribute}_{s}": share for s, share in enumerate(shares)})


def read_partition(network: nx.Graph, attribute: str = "segment") -> np.ndarray:
    """What each user of a network carries as ``attribute``, None where it carries nothing, ``[U]``.

    Put into ``UserData.columns``, it makes segments by ``ByColumn``.

    Args:
        network: Its users have ``bipartite`` 0, in the order of rows.
        attribute: What to read.

    Raises:
        DataError: If no user carries it.
    """
    values = np.array([network.nodes[node].get(attribute) for node in _users(network)], dtype=object)
    if all(value is None for value in values):
        raise DataError(f"no user of the network carries '{attribute}'")
    return values


def _users(network: nx.Graph) -> list[Any]:
    return [node for node, side in network.nodes(data="bipartite") if side == 0]


def whole(links: sp.csr_matrix) -> sp.csr_matrix:
    """The symmetric matrix of users and items, ``[U + I, U + I]``, from ``[U, I]``."""
    return sp.bmat([[None, links], [links.T, None]], format="csr")


def by_networkx(
    adjacency: sp.csr_matrix, find: Callable[[nx.Graph], list[set[int]]], failure: str
) -> np.ndarray:
    """Labels of the nodes of a symmetric matrix, largest communities first.

    Args:
        adjacency: ``[n, n]``.
        find: From a networkx graph to its communities.
        failure: Start of the message if a backend is missing or lacks the algorithm.

    Raises:
        ConfigError: In that case.
    """
    import networkx as nx

    try:
        found = find(nx.from_scipy_sparse_array(adjacency))
    except (ImportError, NotImplementedError) as error:
        raise ConfigError(f"{failure}: {error}") from error
    labels = np.empty(adjacency.shape[0], dtype=np.int64)
    for label, members in enumerate(sorted(found, key=lambda nodes: (-len(nodes), min(nodes)))):
        labels[list(members)] = label
    return labels


def as_networkit(adjacency: sp.csr_matrix, seed: int, wanted_by: str) -> Any:
    """A weighted networkit graph of a symmetric matrix ``[n, n]``; networkit draws from ``seed`` from now on.

    Raises:
        ConfigError: If networkit is not installed.
    """
    try:
        import networkit
    except ImportError as error:
        raise ConfigError(
            f"{wanted_by}: library 'networkit' cannot be used: {error}; pip install 'gnnseg[networkit]'"
        ) from error
    networkit.setSeed(seed, True)
    edges = sp.triu(adjacency).tocoo()
    pairs = (edges.data.astype(np.float64), (edges.row.astype(np.uint64), edges.col.astype(np.uint64)))
    return networkit.GraphFromCoo(pairs, n=adjacency.shape[0], weighted=True, directed=False)
