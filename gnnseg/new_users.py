"""Users of whom little is known: what everybody likes, and what others of their groups like more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.components import Component, Kind, PositiveFloat, PositiveInt
from gnnseg.data import UserData
from gnnseg.errors import ConfigError, unknown
from gnnseg.graph import BipartiteGraph
from gnnseg.local import Lift
from gnnseg.scoring import Scorer, spread
from gnnseg.segments.groups import combined, values_of

__all__ = ["NEW_USERS", "GroupPrior"]


@dataclass(frozen=True)
class Prior:
    """What a list for somebody starts from, whose share fades as the history grows.

    A user with a history of ``n`` items is scored by ``f + p_n z`` plus ``l_n`` spreads of that times the
    lift of its groups: ``f`` are the scores by history and ``z`` the log popularity, both of spread 1.

    Attributes:
        popularity: ``z``, ``[I]``.
        lift: What each group likes more than everybody does, ``[I, S]``.
        groups: Of each grouping its columns and the names of its groups, ``S`` in all.
        values: Of each column what its values are called, by the value as text.
        rule: Lengths ``n`` in order, with ``p_n`` and ``l_n``, ``[m, 3]``.
    """

    popularity: Tensor
    lift: Tensor
    groups: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    values: Mapping[str, Mapping[str, str]]
    rule: tuple[tuple[float, float, float], ...] = ((0.0, 1.0, 0.7),)

    @property
    def columns(self) -> list[str]:
        """Columns of the users' table that it knows."""
        return list(self.values)

    def groups_of(self, users: Sequence[Mapping[str, object]]) -> Tensor:
        """Groups of some users from what their table says, ``[B, S]``, a one for each grouping that tells.

        Args:
            users: Values by column; what is left out is not known.

        Raises:
            ConfigError: For a column or a value that was not there in training.
        """
        rows = []
        for user in users:
            said = {column: self._named(column, value) for column, value in user.items()}
            row: list[float] = []
            for columns, names in self.groups:
                parts = [said.get(column) for column in columns]
                name = None if None in parts else ", ".join(map(str, parts))
                own = name if name in names or name is None else "other"
                row += [float(own == one) for one in names]
            rows.append(row)
        return torch.tensor(rows, dtype=torch.float32).view(len(users), self.lift.shape[1])

    def beside(self, scorer: Scorer, histories: sp.csr_matrix, groups: Tensor) -> Scorer:
        """Scores by history with the prior.

        Args:
            scorer: By the histories alone.
            histories: ``[B, I]``.
            groups: ``[B, S]``.
        """
        return self.weighted(scorer, self._weights(np.diff(histories.indptr)), groups)

    def weighted(self, scorer: Scorer, weights: Tensor, groups: Tensor) -> Scorer:
        """Scores by history with given weights ``p, l``, ``[B, 2]``."""
        device = scorer.device
        tables = (weights, groups, self.popularity, self.lift)
        return Started(scorer, *(table.to(device) for table in tables))

    def _weights(self, lengths: np.ndarray) -> Tensor:
        """``p_n`` and ``l_n`` of the longest ``n`` that a history has, fading beyond all, ``[B, 2]``."""
        known = np.array(self.rule)
        at = np.maximum(np.searchsorted(known[:, 0], lengths, side="right") - 1, 0)
        fade = np.minimum(1.0, np.maximum(known[-1, 0], 1) / np.maximum(lengths, 1))
        return torch.from_numpy(known[at, 1:] * fade[:, None]).float()

    def _named(self, column: str, value: object) -> str | None:
        if column not in self.values:
            raise ConfigError(unknown("column of the users' table", column, list(self.values)))
        if value is None:
            return None
        known = self.values[column]
        found = _plain(value) if _plain(value) in known else _nearest(value, known)
        if found is None:
            raise ConfigError(unknown(f"value of '{column}'", value, list(known)))
        return known[found]


class Started(Scorer):
    """Scores by history with a prior: see :class:`Prior`.

    Args:
        scorer: By history alone.
        weights: ``p`` and ``l`` of each user, ``[B, 2]``.
        groups: ``[B, S]``.
        popularity: ``[I]``.
        lift: ``[I, S]``.
    """

    weights: Tensor
    groups: Tensor
    popularity: Tensor
    lift: Tensor

    def __init__(
        self, scorer: Scorer, weights: Tensor, groups: Tensor, popularity: Tensor, lift: Tensor
    ) -> None:
        super().__init__()
        self.num_items = scorer.num_items
        self.scorer = scorer
        tables = {"weights": weights, "groups": groups, "popularity": popularity, "lift": lift}
        for name, table in tables.items():
            self.register_buffer(name, table)

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        return self.summands(users).sum(0)

    def summands(self, users: Tensor) -> Tensor:
        """What scores are the sum of: by history, of everybody, of the groups; ``[B] -> [3, B, I]``."""
        scores = self.scorer.score(users)
        popular, lifted = self.weights[users].unsqueeze(2).unbind(1)
        own, common = scores / spread(scores), popular * self.popularity
        lift = self.groups[users] @ self.lift.T
        return torch.stack([own, common, lifted * spread(own + common) * lift])


class GroupPrior(Component):
    """Popularity and, by columns of the users' table, :class:`gnnseg.local.Lift` of groups.

    Weights are chosen on validation for each length of history. With no history this is popularity within
    groups, shrunk to the global one.

    Args:
        groups: Groupings, each a list of columns of which every combination of values is a group; their lifts
            add up. None of them leaves popularity.
        prior: Pseudo-interactions of a group with each item.
        num_bins: Quantiles of a column of numbers with more different values.
        min_users: Combinations with fewer users are joined.
    """

    def __init__(
        self,
        *,
        groups: Sequence[Sequence[str]] = (),
        prior: PositiveFloat = 10.0,
        num_bins: PositiveInt = 30,
        min_users: PositiveInt = 10,
    ) -> None:
        self.groups = tuple(tuple(columns) for columns in groups)
        self.prior = prior
        self.num_bins = num_bins
        self.min_users = min_users

    def fit(self, graph: BipartiteGraph, users: UserData) -> tuple[Prior, Tensor]:
        """Count.

        Args:
            graph: Training interactions.
            users: With the users' table, if there are groups.

        Returns:
            The prior, and the groups of the graph's users, ``[U, S]``.

        Raises:
            ConfigError: If the table lacks a column.
        """
        raw = {c: users.column(c, graph.num_users) for c in sorted({c for g in self.groups for c in g})}
        said = {column: values_of(values, self.num_bins, column) for column, values in raw.items()}
        members, groups = [np.zeros((graph.num_users, 0))], []
        for columns in self.groups:
            names, place = combined(list(zip(*(said[c] for c in columns), strict=True)), self.min_users)
            members.append(place[:, None] == np.arange(len(names)))
            groups.append((columns, tuple(names)))
        shares = torch.from_numpy(np.concatenate(members, axis=1)).float()
        counts = graph.unstack(graph.degrees.cpu()).items.clamp(min=0.5).log().unsqueeze(0)
        known: dict[str, dict[str, str]] = {}
        for column, labels in said.items():
            pairs = zip(raw[column].tolist(), labels, strict=True)
            known[column] = {_plain(value): label for value, label in pairs if label is not None}
        lift: Any = Lift(prior=self.prior).fit(graph, shares).lift if shares.shape[1] else shares[:0].T
        table = lift if shares.shape[1] else torch.zeros(graph.num_items, 0)
        return Prior((counts / spread(counts))[0], table, tuple(groups), known), shares


def _plain(value: object) -> str:
    """A value as text; whole numbers without a point."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _nearest(value: object, known: Mapping[str, str]) -> str | None:
    """The nearest of known numbers; None where these are no numbers."""
    try:
        wanted = float(str(value))
        return min(known, key=lambda one: (abs(float(one) - wanted), one))
    except ValueError:
        return None


NEW_USERS: Kind[GroupPrior] = Kind("prior for new users", GroupPrior, "gnnseg.new_users")
