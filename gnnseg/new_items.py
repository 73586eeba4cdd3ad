"""Items that nobody has yet, scored through their text; no model is trained again."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import scipy.sparse as sp
import torch

from gnnseg.components import Component, NonNegativeFloat, PositiveFloat, PositiveInt
from gnnseg.scoring import Continued, Histories, Scorer, csr_parts

__all__ = ["ContentKNN", "NewItems", "TextRidge"]


class NewItems(Component, ABC):
    """Continues any scorer to items without a training interaction.

    Attributes:
        of_history: How much the user's items count.
        of_scores: How much the scores of all warm items count.
    """

    of_history: float
    of_scores: float

    @abstractmethod
    def weights(self, warm: np.ndarray, cold: np.ndarray) -> np.ndarray:
        """What a warm item says of a cold one, ``[W, C]``, from text features ``[W, f]``, ``[C, f]``."""

    def extend(self, scorer: Scorer, train: sp.csr_matrix, features: np.ndarray) -> Continued:
        """The scorer with scores for cold items, those that are in no one's training history.

        Args:
            scorer: Of the users and items of ``train``.
            train: Training interactions, ``[U, I]``.
            features: Text features of all items, ``[I, f]``.
        """
        known = np.bincount(train.indices, minlength=train.shape[1]) > 0
        warm, cold = np.flatnonzero(known), np.flatnonzero(~known)
        weights = self.weights(features[warm], features[cold])
        device = scorer.device
        return Continued(
            scorer,
            Histories(*csr_parts(train), train.shape[1]).to(device),
            torch.from_numpy(warm).to(device),
            torch.from_numpy(cold).to(device),
            torch.from_numpy(np.ascontiguousarray(weights, dtype=np.float32)).to(device),
            self.of_history,
            self.of_scores,
        )


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

    def weights(self, warm: np.ndarray, cold: np.ndarray) -> np.ndarray:
        """Cosines, zero beyond the nearest, ``[W, C]``."""
        found = _cosines(warm, cold)
        count = min(self.num_neighbors, len(warm))
        if count < len(warm) and found.size:
            least = -np.partition(-found, count - 1, axis=0)[count - 1]
            found = np.where(found >= least, found, 0.0)
        return found


class TextRidge(NewItems):
    """Kernel ridge regression of a user's history and scores on the items' texts (Saunders et al. 1998).

    With ``K = max(cosine, 0)^power`` the function of least norm that meets a user's values ``s`` at the warm
    items has the values ``s (K_ww + lambda I)^-1 K_wc`` at the cold ones: one matrix serves all users and
    any scorer. Whole powers of cosines are positive kernels; clipped at zero they are so nearly, and
    ``lambda`` keeps the system regular.

    Args:
        regularization: ``lambda``.
        power: Of the cosine; above 1, near texts count more.
        of_history: How much the user's items themselves count.
        of_scores: How much the scores of all warm items count.
    """

    def __init__(
        self,
        *,
        regularization: PositiveFloat = 1.0,
        power: PositiveInt = 3,
        of_history: NonNegativeFloat = 1.0,
        of_scores: NonNegativeFloat = 1.0,
    ) -> None:
        self.regularization = regularization
        self.power = power
        self.of_history = of_history
        self.of_scores = of_scores

    def weights(self, warm: np.ndarray, cold: np.ndarray) -> np.ndarray:
        """``(K_ww + lambda I)^-1 K_wc``, ``[W, C]``."""
        own = np.maximum(_cosines(warm, warm), 0) ** self.power
        own[np.diag_indices(len(own))] += self.regularization
        found: np.ndarray = np.linalg.solve(own, np.maximum(_cosines(warm, cold), 0) ** self.power)
        return found


def _cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``[n, f], [m, f] -> [n, m]``; zero for rows of zeros."""
    units = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (left, right)]
    found: np.ndarray = units[0] @ units[1].T
    return found
