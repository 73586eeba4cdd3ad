"""Lists chosen anew among the best candidates of a run: rarer, less alike, or true to the user's tags."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.calibration import calibrated, tag_shares, wanted_shares
from gnnseg.checkpoint import SavedRun
from gnnseg.errors import ConfigError
from gnnseg.rules import Rules, diversified, penalised
from gnnseg.scoring import item_vectors
from gnnseg.segments.traits import tag_matrix
from gnnseg.spectral import right_singular
from gnnseg.text import TfidfEncoder

SINGULAR_VECTORS = 64
"""Of the training matrix, that tell how alike items are where a run has no vectors."""

BLOCK_VALUES = 2**22
"""Values of candidates by tags, or two to the power of 24 by candidates, that are held at once."""


class Reranker:
    """What re-ranking needs to know of the items of a run.

    Args:
        run: A saved run.
    """

    def __init__(self, run: SavedRun) -> None:
        self.run = run

    def of(
        self, items: Tensor, scores: Tensor, history: sp.csr_matrix, k: int, rules: Rules
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Items ``[b, k]`` and their own scores ``[b, k]``, chosen by the rules.

        Args:
            items: Rows of the candidates, ``[B, p]``.
            scores: Best first, ``-inf`` where there are fewer candidates, ``[B, p]``.
            history: What the same users had, ``[B, I]``.
            k: Length of a list.
            rules: That re-rank.

        Raises:
            ConfigError: If the run does not know what a rule needs.
        """
        ranked = scores
        if rules.popularity_penalty:
            popularity = torch.from_numpy(self.users_of)[items]
            ranked, order = penalised(scores, popularity, rules.popularity_penalty).sort(1, True)
            items, scores = items.gather(1, order), scores.gather(1, order)
        start = 0
        for some, own, values in self._blocks(items, scores, ranked, rules):
            if rules.diversity:
                directions = self.text_directions if rules.diversity_on == "texts" else self.directions
                near = directions[some]
                chosen = diversified(values, near @ near.transpose(1, 2), k, rules.diversity)
            elif rules.calibration:
                wanted = wanted_shares(history[start : start + len(some)], self.shares)
                shares = torch.from_numpy(self.shares[some.flatten().numpy()].toarray())
                tags = shares.view(*some.shape, wanted.shape[1])
                chosen = calibrated(values, tags, torch.from_numpy(wanted), k, rules.calibration)
            else:
                chosen = torch.arange(k).expand(len(some), k)
            yield some.gather(1, chosen).numpy(), own.gather(1, chosen).numpy()
            start += len(some)

    def _blocks(
        self, items: Tensor, scores: Tensor, ranked: Tensor, rules: Rules
    ) -> Iterator[tuple[Tensor, ...]]:
        """As many users at once as memory allows what the rules compare."""
        size, pool = len(items), items.shape[1]
        if rules.diversity:
            size = 4 * BLOCK_VALUES // pool**2
        elif rules.calibration:
            size = BLOCK_VALUES // (pool * self.shares.shape[1])
        return zip(*(t.split(max(1, size)) for t in (items, scores, ranked)), strict=True)

    @cached_property
    def users_of(self) -> np.ndarray:
        """Training users of each item, ``[I]``."""
        found: np.ndarray = np.bincount(self.run.train.indices, minlength=len(self.run.items))
        return found

    @cached_property
    def shares(self) -> sp.csr_matrix:
        """How each item is divided among its tags, ``[I, T]``.

        Raises:
            ConfigError: If the run keeps no tags.
        """
        named = tag_matrix(self.run.tags)
        if named is None:
            raise ConfigError(
                f"'{self.run.folder}' keeps no tags of its items, which 'calibration' needs: its data have "
                "none (see 'tags' of the source), or it is of an older version; train it again"
            )
        return tag_shares(named[1])

    @cached_property
    def directions(self) -> Tensor:
        """Unit vectors of the items, ``[I, d]``: of the run, or of the training matrix where it has none."""
        vectors = item_vectors(self.run.scorer)
        if vectors is None:
            found = right_singular(self.run.train.astype(np.float64), SINGULAR_VECTORS)
            vectors = torch.from_numpy(found[1] * found[0])
        return F.normalize(vectors.float(), dim=1).cpu()

    @cached_property
    def text_directions(self) -> Tensor:
        """Unit vectors of the items' texts, ``[I, f]``.

        Raises:
            ConfigError: If the run keeps no texts.
        """
        if self.run.texts is None:
            raise ConfigError(f"the items of '{self.run.folder}' have no texts; diversify on 'vectors'")
        return TfidfEncoder(min_count=1).encode(self.run.texts)
