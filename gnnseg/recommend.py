"""Recommendations from a saved run: outside ids in, outside ids out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from gnnseg.checkpoint import SavedRun, graph_of, load_run
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.model import SegmentRecommender
from gnnseg.ranking import top_k
from gnnseg.scoring import Gated, HistoryScorer, Mixture, NewUsers, Scorer
from gnnseg.tracking import Tracker


@dataclass(frozen=True)
class Recommendation:
    """One recommended item.

    Attributes:
        item: Outside id.
        score: Higher is better; comparable within one user only.
        text: The item's text, empty if there is none.
    """

    item: str
    score: float
    text: str = ""


class Recommender:
    """Top-k lists for known users and for new ones by their items.

    Args:
        run: A saved run.
    """

    def __init__(self, run: SavedRun) -> None:
        self.run = run

    @classmethod
    def load(cls, folder: str | Path) -> Recommender:
        """Read a finished run.

        Raises:
            CheckpointError: If there is none.
        """
        return cls(load_run(folder))

    def recommend(self, users: Sequence[object], k: int = 10) -> dict[str, list[Recommendation]]:
        """The best items that each user has not interacted with.

        Args:
            users: Outside ids.
            k: Length of a list; shorter where fewer unseen items exist.

        Raises:
            DataError: If a user is unknown.
            ConfigError: If ``users`` is one text instead of a list, or ``k`` is out of range.
        """
        if isinstance(users, str):
            raise ConfigError(f"'users' must be a list of ids, such as [{users!r}] (got one text)")
        rows = self.run.users.rows(users)
        items, scores = top_k(self.run.scorer, rows, k, self.run.seen)
        return {str(u): self._named(i, s) for u, i, s in zip(users, items, scores, strict=True)}

    def recommend_for(self, items: Sequence[object], k: int = 10) -> list[Recommendation]:
        """The best items for somebody new who liked ``items`` (outside ids).

        Raises:
            DataError: If an item is unknown.
            ConfigError: If the run is a baseline that knows users by vectors of their own, such as ALS.
        """
        scorer, history, _ = self._new_user(items)
        found, scores = top_k(scorer, np.zeros(1, dtype=np.int64), k, history)
        return self._named(found[0], scores[0])

    def everybody(
        self, k: int = 10, tracker: Tracker | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lists of all users: rows of users ``[U]``, rows of items ``[U, k]`` and scores ``[U, k]``."""
        rows = np.arange(len(self.run.users))
        with (tracker or Tracker()).task("ranking", len(rows)) as task:
            items, scores = top_k(self.run.scorer, rows, k, self.run.seen, task.advance)
        return rows, items, scores

    def segments_of(self, user: object) -> dict[str, float]:
        """Membership of a user by segment, shares of at least 0.01; empty without segments."""
        memberships = self.run.memberships
        return {} if memberships is None else _shares(memberships[int(self.run.users.rows([user])[0])])

    def segments_for(self, items: Sequence[object]) -> dict[str, float]:
        """As :meth:`segments_of`, for somebody new who liked ``items``."""
        memberships = self._new_user(items)[2]
        return {} if memberships is None else _shares(memberships[0])

    def _new_user(self, items: Sequence[object]) -> tuple[Scorer, sp.csr_matrix, torch.Tensor | None]:
        """Scores of somebody new, the history, and the memberships ``[1, S]``, if there are segments."""
        if not items or isinstance(items, str):
            raise ConfigError("'items' must name at least one item the new user liked (got none)")
        rows = np.unique(self.run.items.rows(items))
        history = sp.csr_matrix(
            (np.ones(len(rows), dtype=np.float32), (np.zeros(len(rows), dtype=np.int64), rows)),
            shape=(1, len(self.run.items)),
        )
        if self._model is None:
            return self._by_history(self.run.scorer, history), history, None
        model, graph = self._model
        embeddings = model.encoder(graph)
        users, memberships = model.fold_in(model.encoder.fold_in(graph, history), embeddings.items)
        own = model.scorer_of(Embeddings(users, model.condition(embeddings).items))
        return self._for_new(self.run.scorer, own, history, memberships), history, memberships

    def _for_new(
        self, scorer: Scorer, own: Scorer, history: sp.csr_matrix, memberships: torch.Tensor | None
    ) -> Scorer:
        """What the run's scorer is for somebody new whom the model scores by ``own``."""
        if isinstance(scorer, Gated) and memberships is not None:
            whole = self._for_new(scorer.whole, own, history, memberships)
            return scorer.of(whole, memberships, *_as_tensors(history))
        if isinstance(scorer, Mixture):
            others = [self._by_history(part, history) for part in list(scorer.scorers)[1:]]
            return Mixture([own, *others], scorer.weights)
        return own

    def _by_history(self, scorer: torch.nn.Module, history: sp.csr_matrix) -> Scorer:
        if not isinstance(scorer, HistoryScorer):
            name = (self.run.config.baseline or {}).get("name")
            raise ConfigError(f"{name} has no vectors for new users; train an encoder for 'recommend_for'")
        return NewUsers(scorer, *_as_tensors(history))

    @cached_property
    def _model(self) -> tuple[SegmentRecommender, BipartiteGraph] | None:
        model = self.run.model()
        return None if model is None else (model, graph_of(self.run))

    def _named(self, items: np.ndarray, scores: np.ndarray) -> list[Recommendation]:
        texts = self.run.texts
        return [
            Recommendation(self.run.items.ids[i], float(s), texts[i] if texts else "")
            for i, s in zip(items.tolist(), scores.tolist(), strict=True)
            if np.isfinite(s)
        ]


def _as_tensors(history: sp.csr_matrix) -> tuple[torch.Tensor, torch.Tensor]:
    """Histories in CSR, int64."""
    return torch.from_numpy(history.indptr).long(), torch.from_numpy(history.indices).long()


def _shares(memberships: torch.Tensor) -> dict[str, float]:
    return {str(s): round(p, 4) for s, p in enumerate(memberships.tolist()) if p >= 0.01}


def as_json(user: str, segment: dict[str, float], items: Sequence[Recommendation]) -> dict[str, Any]:
    """One entry of ``gnnseg recommend --json``."""
    return {
        "user": user,
        "segment": segment,
        "items": [{"item": r.item, "score": r.score, "text": r.text} for r in items],
    }
