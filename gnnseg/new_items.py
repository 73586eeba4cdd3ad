"""Items that nobody has yet, scored through their text; no model is trained again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
import torch

from gnnseg.components import Component, Kind, NonNegativeFloat, PositiveFloat, PositiveInt
from gnnseg.errors import ConfigError
from gnnseg.scoring import Continued, Histories, Scorer, csr_parts
from gnnseg.spectral import normalised, right_singular

__all__ = ["NEW_ITEMS", "ContentKNN", "NewItems", "TextRidge"]

BALANCED_ON = 1000
"""Users that the scale of cold items' scores is taken from, at most."""

MAX_PAIRS = 2**29
"""Pairs of items that numbers are held for, at most: 4 GiB of float64."""


class NewItems(Component, ABC):
    """Continues any scorer to items without a training interaction.

    Attributes:
        of_history: How much the user's items count.
        of_scores: How much the scores of all warm items count.
    """

    of_history: float
    of_scores: float
    among_known: ClassVar[bool] = False
    """Whether a number for each pair of known items is needed."""

    @abstractmethod
    def weights(self, warm: np.ndarray, cold: np.ndarray, links: sp.csr_matrix) -> np.ndarray:
        """What a warm item says of a cold one.

        Args:
            warm: Text features of warm items, ``[W, f]``.
            cold: Of cold ones, ``[C, f]``.
            links: Training interactions with the warm items, ``[U, W]``.

        Returns:
            ``[W, C]``.
        """

    def extend(
        self, scorer: Scorer, train: sp.csr_matrix, features: np.ndarray, known: np.ndarray | None = None
    ) -> Continued:
        """The scorer with scores for cold items.

        Args:
            scorer: Of the users and items of ``train``.
            train: Histories, ``[U, I]``.
            features: Text features of all items, ``[I, f]``.
            known: Items that the scorer was trained on, mask ``[I]``; by default those in any history.

        Raises:
            ConfigError: If what the items say of each other would not fit into memory.
        """
        if known is None:
            known = np.bincount(train.indices, minlength=train.shape[1]) > 0
        warm, cold = np.flatnonzero(known), np.flatnonzero(~known)
        beside = max(len(cold), len(warm) if self.among_known else 0)
        if len(warm) * beside > MAX_PAIRS:
            raise ConfigError(
                f"{type(self).__name__} would hold {len(warm)} x {beside} numbers of pairs of items "
                f"(at most {MAX_PAIRS:,}); use ContentKNN, or leave rare items out by 'filters'"
            )
        weights = self.weights(features[warm], features[cold], train[:, warm])
        device = scorer.device
        found = Continued(
            scorer,
            Histories(*csr_parts(train), train.shape[1]).to(device),
            torch.from_numpy(warm).to(device),
            torch.from_numpy(cold).to(device),
            torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32)).to(device),
            torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0], dtype=torch.float64, device=device),
        )
        active = np.flatnonzero(np.diff(train.indptr))
        some = active[np.unique(np.linspace(0, len(active) - 1, min(BALANCED_ON, len(active))).astype(int))]
        return found.balanced(self.of_history, self.of_scores, torch.from_numpy(some).to(device))


class ContentKNN(NewItems):
    """The sum of the cosines of an item's text with those of the user's items, the nearest kept.

    Item-based neighbours (Sarwar et al. 2001, doi 10.1145/371920.372071) with the content as the items'
    vectors: each cold item keeps its nearest warm ones.

    Args:
        num_neighbors: Warm items kept for each cold one; as many as there are for the mean similarity.
    """

    def __init__(self, *, num_neighbors: PositiveInt = 50) -> None:
        self.num_neighbors = num_neighbors
        self.of_history, self.of_scores = 1.0, 0.0

    def weights(self, warm: np.ndarray, cold: np.ndarray, links: sp.csr_matrix) -> np.ndarray:
        """Cosines, zero beyond the nearest, ``[W, C]``."""
        found = _cosines(warm, cold)
        count = min(self.num_neighbors, len(warm))
        if count < len(warm) and found.size:
            least = -np.partition(-found, count - 1, axis=0)[count - 1]
            found = np.where(found >= least, found, 0.0)
        return found


class TextRidge(NewItems):
    """Kernel ridge regression of a user's history and scores on the items' texts (Saunders et al. 1998).

    The function of least norm that meets a user's values ``s`` at the warm items has the values
    ``s (K_ww + lambda I)^-1 K_wc`` at the cold ones: one matrix serves all users and any scorer. The kernel
    is ``max(cosine, 0)^power`` of the text features, plus ``of_graph`` times ``max(cosine, 0)`` of the
    vectors that the graph would give the items: a linear map from features to the singular vectors of the
    normalised training matrix, times their singular values, learned on the warm items by ridge regression
    (attribute-to-feature mapping, Gantner et al. 2010, doi 10.1109/ICDM.2010.129). Whole powers of cosines
    are positive kernels; clipped at zero they are so nearly, and ``lambda`` keeps the system regular.

    Args:
        regularization: ``lambda``.
        power: Of the cosine; above 1, near texts count more.
        of_history: How much the user's items themselves count.
        of_scores: How much the scores of all warm items count.
        of_graph: How much the mapped vectors count beside the texts themselves.
        dim: Singular vectors that features are mapped to.
        ridge: Of the map.
    """

    among_known = True

    def __init__(
        self,
        *,
        regularization: PositiveFloat = 10.0,
        power: PositiveInt = 3,
        of_history: NonNegativeFloat = 1.0,
        of_scores: NonNegativeFloat = 1.0,
        of_graph: NonNegativeFloat = 0.5,
        dim: PositiveInt = 128,
        ridge: PositiveFloat = 3.0,
    ) -> None:
        self.regularization = regularization
        self.power = power
        self.of_history = of_history
        self.of_scores = of_scores
        self.of_graph = of_graph
        self.dim = dim
        self.ridge = ridge

    def weights(self, warm: np.ndarray, cold: np.ndarray, links: sp.csr_matrix) -> np.ndarray:
        """``(K_ww + lambda I)^-1 K_wc``, ``[W, C]``."""
        own, other = (np.maximum(_cosines(warm, x), 0) ** self.power for x in (warm, cold))
        if self.of_graph:
            near, far = self._mapped(warm, cold, links)
            own += self.of_graph * np.maximum(_cosines(near, near), 0)
            other += self.of_graph * np.maximum(_cosines(near, far), 0)
        own[np.diag_indices(len(own))] += self.regularization
        found: np.ndarray = np.linalg.solve(own, other)
        return found

    def _mapped(
        self, warm: np.ndarray, cold: np.ndarray, links: sp.csr_matrix
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the graph would say of the items, told by their features, ``[W, d]`` and ``[C, d]``."""
        scale, vectors = right_singular(normalised(links, 0.5, 0.5), self.dim)
        mean = warm.mean(0)
        centred = warm - mean
        gram = centred.T @ centred
        gram[np.diag_indices(len(gram))] += self.ridge
        table = np.linalg.solve(gram, centred.T @ (vectors * scale))
        return centred @ table, (cold - mean) @ table


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``[n, f], [m, f] -> [n, m]``; zero for rows of zeros."""
    units = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (left, right)]
    found: np.ndarray = units[0] @ units[1].T
    return found


NEW_ITEMS: Kind[NewItems] = Kind("way for new items", NewItems, "gnnseg.new_items")
