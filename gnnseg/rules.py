"""Which items may be recommended, and how alike those of one list may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gnnseg.data import IdMap
from gnnseg.errors import ConfigError


@dataclass(frozen=True)
class Rules:
    """What a list of recommendations must keep to, whoever it is for.

    Attributes:
        exclude: Outside ids of items never to recommend.
        only: Outside ids of the only items to recommend; None for all.
        min_novelty: Bits of self-information, ``-log2`` of the share of training users who have the item
            (Zhou et al. 2010, doi 10.1073/pnas.1000488107), that an item needs at least.
        diversity: ``1 - lambda`` of maximal marginal relevance (Carbonell and Goldstein 1998, doi
            10.1145/290941.291025): 0 ranks by score alone, towards 1 only unlikeness counts.
        diversity_on: Whether items are alike by the vectors of the run or by their texts.
        popularity_penalty: Weight of popularity against the score: 0 ranks by score alone, towards 1
            the rarest candidates come first. What it costs, ``gnnseg evaluate --popularity-penalty`` tells.
        calibration: Weight of tags spread as in the user's history against the score: 0 ranks by score
            alone, towards 1 only the spread counts (Steck 2018, doi 10.1145/3240323.3240372, equation 7).
            What it costs, ``gnnseg evaluate --calibration`` tells.
        pool: Best items of each user that diversity, the penalty and calibration choose from; at least the
            length of the list.

    Raises:
        ConfigError: If a value is out of range, one text is given instead of a list of ids, or both
            diversity and calibration are to choose the list.
    """

    exclude: Sequence[object] = ()
    only: Sequence[object] | None = None
    min_novelty: float = 0.0
    diversity: float = 0.0
    diversity_on: Literal["vectors", "texts"] = "vectors"
    popularity_penalty: float = 0.0
    calibration: float = 0.0
    pool: int = 100

    def __post_init__(self) -> None:
        for name, ids in (("exclude", self.exclude), ("only", self.only)):
            if isinstance(ids, str):
                raise ConfigError(f"'{name}' must be a list of ids, such as [{ids!r}] (got one text)")
        if not 0 <= self.min_novelty < float("inf"):
            raise ConfigError(f"'min_novelty' must be a number of bits, at least 0 (got {self.min_novelty})")
        for name in ("diversity", "popularity_penalty", "calibration"):
            if not 0 <= (weight := getattr(self, name)) < 1:
                raise ConfigError(f"'{name}' must be at least 0 and below 1 (got {weight})")
        if self.diversity_on not in ("vectors", "texts"):
            raise ConfigError(f"'diversity_on' must be 'vectors' or 'texts' (got {self.diversity_on!r})")
        if self.diversity and self.calibration:
            raise ConfigError("'diversity' and 'calibration' each choose the whole list; set one of them")
        if self.pool < 1:
            raise ConfigError(f"'pool' must be at least 1 (got {self.pool})")

    @property
    def reranks(self) -> bool:
        """Whether lists are chosen anew among the best of a pool."""
        return bool(self.diversity or self.popularity_penalty or self.calibration)

    def allowed(self, items: IdMap, users_of: np.ndarray, num_users: int) -> Tensor | None:
        """Mask of the items that may be recommended, ``[I]``; None where all may.

        Args:
            items: Outside ids.
            users_of: Training users of each item, ``[I]``; an item of none is as novel as one of one.
            num_users: ``U``.

        Raises:
            DataError: If an item is unknown.
        """
        if not len(self.exclude) and self.only is None and not self.min_novelty:
            return None
        mask = np.ones(len(items), dtype=bool)
        if self.only is not None:
            mask[:] = False
            mask[items.rows(self.only)] = True
        mask[items.rows(self.exclude)] = False
        if self.min_novelty:
            mask &= np.log2(num_users / np.maximum(users_of, 1)) >= self.min_novelty
        return torch.from_numpy(mask)


def diversified(scores: Tensor, alike: Tensor, k: int, diversity: float) -> Tensor:
    """Choose ``k`` of ``p`` candidates by maximal marginal relevance, greedily.

    Each step takes the candidate with the largest ``lambda r - (1 - lambda) max alike(., chosen)``, where
    ``r`` are the scores brought to ``[0, 1]`` among a user's candidates, and ``lambda = 1 - diversity``.

    Args:
        scores: Best first, ``-inf`` where there are fewer candidates, ``[B, p]``.
        alike: Similarities of candidates, at most 1, ``[B, p, p]``.
        k: At most ``p``.
        diversity: ``1 - lambda``.

    Returns:
        Positions in the order of choice, ``[B, k]`` int64; candidates with score ``-inf`` come last.
    """
    real = scores.isfinite()
    relevance = torch.where(real, unit(scores), -1e9)  # above what was chosen, below the others
    most = torch.zeros_like(scores)
    row, places = torch.arange(len(scores), device=scores.device), []
    for step in range(k):
        marginal = (1 - diversity) * relevance - diversity * most
        place = marginal.argmax(1)
        places.append(place)
        relevance[row, place] = -torch.inf
        likeness = alike[row, place]
        most = likeness if step == 0 else torch.maximum(most, likeness)
    return torch.stack(places, dim=1)


def penalised(scores: Tensor, popularity: Tensor, penalty: float) -> Tensor:
    """Scores that popular candidates lose by: ``(1 - w) r - w p``.

    ``r`` are the scores and ``p`` the logarithms of popularity, both brought to ``[0, 1]`` among a user's
    candidates, and ``w`` is the penalty: the trade of accuracy against the long tail by one weight, as in
    Abdollahpouri et al. 2019 (arXiv 1901.07555), with a linear term in place of their coverage.

    Args:
        scores: ``-inf`` where there are fewer candidates, ``[B, p]``.
        popularity: Training users of the candidates, ``[B, p]``.
        penalty: ``w``.

    Returns:
        ``[B, p]``, ``-inf`` where ``scores`` are.
    """
    real = scores.isfinite()
    popular = torch.where(real, popularity.to(scores).log1p(), -torch.inf)
    return torch.where(real, (1 - penalty) * unit(scores) - penalty * unit(popular), -torch.inf)


def unit(values: Tensor) -> Tensor:
    """Finite values brought to ``[0, 1]`` in each row; others stay what they are, or NaN."""
    lowest = torch.where(values.isfinite(), values, torch.inf).amin(1, keepdim=True)
    reach = (values.amax(1, keepdim=True) - lowest).clamp(min=1e-12)
    return (values - lowest) / reach
