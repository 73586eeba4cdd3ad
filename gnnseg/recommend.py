"""Recommendations from a saved run: outside ids in, outside ids out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from gnnseg.checkpoint import SavedRun, graph_of, load_prior, load_run
from gnnseg.disclosure import MIN_USERS
from gnnseg.errors import ConfigError, unknown
from gnnseg.graph import BipartiteGraph
from gnnseg.model import SegmentRecommender
from gnnseg.new_users import Prior
from gnnseg.newcomers import Newcomers
from gnnseg.ranking import BLOCK_SCORES, top_k_blocks
from gnnseg.reranking import Reranker
from gnnseg.rules import Rules
from gnnseg.scoring import Constant, Scorer, strongest
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
    """Top-k lists for known users, for new ones by their items, and for segments.

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

    def recommend(
        self, users: Sequence[object], k: int = 10, rules: Rules | None = None
    ) -> dict[str, list[Recommendation]]:
        """The best items that each user has not interacted with.

        Args:
            users: Outside ids.
            k: Length of a list; shorter where fewer unseen items exist.
            rules: What lists must keep to.

        Raises:
            DataError: If a user, or an item of the rules, is unknown.
            ConfigError: If ``users`` is one text instead of a list, or ``k`` is out of range.
        """
        if isinstance(users, str):
            raise ConfigError(f"'users' must be a list of ids, such as [{users!r}] (got one text)")
        found: dict[str, list[Recommendation]] = {}
        for rows, items, scores in self.blocks(self.run.users.rows(users), k, rules):
            names = self.run.users.names(rows.tolist())
            found |= {u: self._named(i, s) for u, i, s in zip(names, items, scores, strict=True)}
        return found

    def recommend_for(
        self,
        items: Sequence[object],
        k: int = 10,
        rules: Rules | None = None,
        about: Mapping[str, object] | None = None,
    ) -> list[Recommendation]:
        """The best items for somebody new.

        Args:
            items: What the user liked, outside ids; may be none with ``about``.
            k: Length of the list.
            rules: What it must keep to.
            about: What the users' table would say, such as ``{"gender": "F", "age": 25}``; for runs with
                ``new_users``.

        Raises:
            DataError: If an item is unknown.
            ConfigError: If the run is a baseline that knows users by vectors of their own, such as ALS, or
                does not know what ``about`` says.
        """
        scorer, history, _ = self.newcomer(items, about)
        return self._one(scorer, history, k, rules, seen=history)

    def recommend_segment(
        self, segment: int | str, k: int = 10, rules: Rules | None = None
    ) -> list[Recommendation]:
        """What a segment as a whole is served: the largest mean scores, members weighted by membership.

        Items that members have already are not left out: no single history is a segment's.

        Args:
            segment: Its number.
            k: Length of the list.
            rules: What it must keep to.

        Raises:
            ConfigError: If the run has no segments, no such segment, or one of fewer than 10 users.
        """
        shares = self._members(segment)
        rows = shares.nonzero().squeeze(1)
        total = torch.zeros(self.run.scorer.num_items, dtype=torch.float64)
        with torch.inference_mode():
            for some in rows.split(max(1, BLOCK_SCORES // len(total))):
                total += (shares[some] @ self.run.scorer.score(some)).double()
        history = sp.csr_matrix(shares.numpy() @ self.run.train)
        return self._one(Constant(total / shares.sum()), history, k, rules)

    def blocks(
        self, rows: np.ndarray, k: int = 10, rules: Rules | None = None, tracker: Tracker | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Lists of known users block by block; memory does not grow with their number.

        Args:
            rows: Of users, ``[n]``.
            k: Length of a list.
            rules: What lists must keep to.
            tracker: Shown the progress.

        Yields:
            Rows of users ``[b]``, rows of items ``[b, k]`` and scores ``[b, k]``, ``-inf`` where a list ends.
        """
        ranked = self._ranked(self.run.scorer, rows, k, self.run.seen, self.run.train, rules or Rules())
        done = 0
        with (tracker or Tracker()).task("ranking", len(rows)) as task:
            for items, scores in ranked:
                yield rows[done : done + len(items)], items, scores
                task.advance(len(items))
                done += len(items)

    def everybody(
        self, k: int = 10, tracker: Tracker | None = None, rules: Rules | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lists of all users: rows of users ``[U]``, rows of items ``[U, k]`` and scores ``[U, k]``."""
        found = list(self.blocks(np.arange(len(self.run.users)), k, rules, tracker))
        rows, items, scores = (np.concatenate(part) for part in zip(*found, strict=True))
        return rows, items, scores

    def _one(
        self,
        scorer: Scorer,
        history: sp.csr_matrix,
        k: int,
        rules: Rules | None,
        seen: sp.csr_matrix | None = None,
    ) -> list[Recommendation]:
        ranked = self._ranked(scorer, np.zeros(1, dtype=np.int64), k, seen, history, rules or Rules())
        items, scores = next(iter(ranked))
        return self._named(items[0], scores[0])

    def _ranked(
        self,
        scorer: Scorer,
        rows: np.ndarray,
        k: int,
        seen: sp.csr_matrix | None,
        histories: sp.csr_matrix,
        rules: Rules,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Items ``[b, k]`` and scores ``[b, k]`` of the next ``b`` rows, by the rules."""
        allowed = rules.allowed(self.run.items, self.reranker.users_of, len(self.run.users))
        pool = min(max(rules.pool, k), scorer.num_items) if rules.reranks and k > 0 else k
        done = 0
        for items, scores in top_k_blocks(scorer, rows, pool, seen, allowed):
            if not rules.reranks:
                yield items.cpu().numpy(), scores.cpu().numpy()
                continue
            own = histories[rows[done : done + len(items)]]
            yield from self.reranker.of(items.cpu(), scores.cpu(), own, k, rules)
            done += len(items)

    def _members(self, segment: int | str) -> torch.Tensor:
        """Everybody's share of one segment, ``[U]``."""
        memberships = self.run.memberships
        if memberships is None:
            raise ConfigError(f"'{self.run.folder}' has no segments; train with a 'segmenter'")
        known = [str(s) for s in range(memberships.shape[1])]
        if str(segment) not in known:
            raise ConfigError(unknown("segment", segment, known))
        shares = memberships[:, int(segment)]
        members = int((strongest(memberships) == int(segment)).sum())
        if members < MIN_USERS:
            raise ConfigError(
                f"segment {segment} has fewer than {MIN_USERS} users, which lists would tell of"
            )
        return shares

    @cached_property
    def reranker(self) -> Reranker:
        """What re-ranking needs to know of the items."""
        return Reranker(self.run)

    def segments_of(self, user: object) -> dict[str, float]:
        """Membership of a user by segment, shares of at least 0.01; empty without segments."""
        memberships = self.run.memberships
        return {} if memberships is None else _shares(memberships[int(self.run.users.rows([user])[0])])

    def segments_for(self, items: Sequence[object]) -> dict[str, float]:
        """As :meth:`segments_of`, for somebody new who liked ``items``."""
        memberships = self.newcomer(items)[2]
        return {} if memberships is None else _shares(memberships[0])

    def newcomer(
        self, items: Sequence[object], about: Mapping[str, object] | None = None
    ) -> tuple[Scorer, sp.csr_matrix, torch.Tensor | None]:
        """What scores somebody new who liked ``items``, as user 0.

        Args:
            items: Outside ids.
            about: What the users' table would say, such as ``{"gender": "F"}``, for runs with ``new_users``.

        Returns:
            The scorer, the history ``[1, I]``, and the memberships ``[1, S]``, if there are segments.

        Raises:
            DataError: If an item is unknown.
            ConfigError: If nothing is known of the user, if the run knows users by vectors of their own
                alone, or if it does not know what ``about`` says.
        """
        if about and self.prior is None:
            raise ConfigError(f"'{self.run.folder}' knows no users' table; train it with 'new_users'")
        if isinstance(items, str) or not (items or about):
            raise ConfigError("'items' must name at least one item the new user liked (got none)")
        rows = np.unique(self.run.items.rows(items)) if items else np.empty(0, dtype=np.int64)
        history = sp.csr_matrix(
            (np.ones(len(rows), dtype=np.float32), (np.zeros(len(rows), dtype=np.int64), rows)),
            shape=(1, len(self.run.items)),
        )
        scorer, memberships = self._newcomers.of(history)
        if self.prior is not None:
            scorer = self.prior.beside(scorer, history, self.prior.groups_of([about or {}]))
        return scorer, history, memberships

    @cached_property
    def prior(self) -> Prior | None:
        """What is known of somebody of whom little is known; None without ``new_users``."""
        return load_prior(self.run.folder) if self.run.config.new_users is not None else None

    @cached_property
    def _newcomers(self) -> Newcomers:
        model, graph = self.model or (None, None)
        return Newcomers(self.run.scorer, model, graph, (self.run.config.baseline or {}).get("name"))

    @cached_property
    def model(self) -> tuple[SegmentRecommender, BipartiteGraph] | None:
        """The model with its graph, for users who were not there; None for a baseline."""
        model = self.run.model()
        return None if model is None else (model, graph_of(self.run))

    def _named(self, items: np.ndarray, scores: np.ndarray) -> list[Recommendation]:
        texts = self.run.texts
        return [
            Recommendation(self.run.items.ids[i], float(s), texts[i] if texts else "")
            for i, s in zip(items.tolist(), scores.tolist(), strict=True)
            if np.isfinite(s)
        ]


def _shares(memberships: torch.Tensor) -> dict[str, float]:
    return {str(s): round(p, 4) for s, p in enumerate(memberships.tolist()) if p >= 0.01}


def as_json(user: str, segment: dict[str, float], items: Sequence[Recommendation]) -> dict[str, Any]:
    """One entry of ``gnnseg recommend --json``."""
    return {
        "user": user,
        "segment": segment,
        "items": [{"item": r.item, "score": r.score, "text": r.text} for r in items],
    }
