"""What a fitted scorer is for users who were not there."""

from __future__ import annotations

from functools import cached_property

import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.errors import ConfigError, NotFittedError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.model import SegmentRecommender
from gnnseg.scoring import Continued, Gated, Histories, HistoryScorer, Mixture, NewUsers, Scorer, csr_parts


class Newcomers:
    """Scores anybody by a history of items, where the scorer can.

    Args:
        scorer: Fitted.
        model: Whose embeddings it scores, or None for a baseline.
        graph: The training graph, with a model.
        name: Of the baseline, for messages.
    """

    def __init__(
        self,
        scorer: Scorer,
        model: SegmentRecommender | None = None,
        graph: BipartiteGraph | None = None,
        name: str | None = None,
    ) -> None:
        self.scorer = scorer
        self.model = model
        self.graph = graph
        self.name = name

    def of(self, histories: sp.csr_matrix) -> tuple[Scorer, Tensor | None]:
        """What scores new users, who are rows 0 to B - 1.

        Args:
            histories: Their items, ``[B, I]``.

        Returns:
            The scorer, and memberships ``[B, S]``, if there are segments.

        Raises:
            ConfigError: If the scorer knows users by vectors of their own alone.
        """
        if self.model is None or self.graph is None:
            return self._by_history(self.scorer, histories), None
        plain, adapted = self._item_tables
        folded = self.model.encoder.fold_in(self.graph, histories)
        users, memberships = self.model.fold_in(folded, plain)
        own = self.model.scorer_of(Embeddings(users, adapted))
        return self._for_new(self.scorer, own, histories, memberships), memberships

    def _for_new(
        self, scorer: Scorer, own: Scorer, histories: sp.csr_matrix, memberships: Tensor | None
    ) -> Scorer:
        """What a scorer is for users whom the model scores by ``own``."""
        if isinstance(scorer, Continued):
            whole = self._for_new(scorer.whole, own, histories, memberships)
            return scorer.of(whole, _histories(histories, scorer))
        if isinstance(scorer, Gated) and memberships is not None:
            whole = self._for_new(scorer.whole, own, histories, memberships)
            return scorer.of(whole, memberships, *_parts(histories, scorer))
        if isinstance(scorer, Mixture):
            others = [self._by_history(part, histories) for part in list(scorer.scorers)[1:]]
            return Mixture([own, *others], scorer.weights)
        return own

    def _by_history(self, scorer: torch.nn.Module, histories: sp.csr_matrix) -> Scorer:
        if isinstance(scorer, Continued):
            whole = self._by_history(scorer.whole, histories)
            return scorer.of(whole, _histories(histories, scorer))
        if not isinstance(scorer, HistoryScorer):
            name = self.name or type(scorer).__name__
            raise ConfigError(f"{name} has no vectors for new users in this run; train it again")
        return NewUsers(scorer, *_parts(histories, scorer))

    @cached_property
    @torch.no_grad()
    def _item_tables(self) -> tuple[Tensor, Tensor]:
        """The items' vectors before and after the head: one pass over the graph, not one a call."""
        if self.model is None or self.graph is None:
            raise NotFittedError("a baseline has no model")
        embeddings = self.model.encoder(self.graph)
        return embeddings.items, self.model.condition(embeddings).items


def _parts(histories: sp.csr_matrix, scorer: Scorer) -> tuple[Tensor, Tensor]:
    indptr, indices = csr_parts(histories)
    return indptr.to(scorer.device), indices.to(scorer.device)


def _histories(histories: sp.csr_matrix, scorer: Scorer) -> Histories:
    return Histories(*_parts(histories, scorer), scorer.num_items)
