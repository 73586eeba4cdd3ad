"""How good rankings are, for each user, each segment and overall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from gnnseg.data.interactions import Interactions
from gnnseg.disclosure import MIN_USERS, too_small
from gnnseg.metrics import ACCURACY, Array, beyond_accuracy, parse
from gnnseg.ranking import top_k
from gnnseg.ranks import Ranks
from gnnseg.scoring import Among, Scorer
from gnnseg.seeding import numpy_rng
from gnnseg.statistics import mean_interval
from gnnseg.together import top_k_together
from gnnseg.tracking import Tracker


@dataclass(frozen=True)
class Evaluation:
    """Metrics of one scorer on one part of the data.

    Attributes:
        users: Rows of the users with held-out items, ``[n]``; the others are skipped.
        per_user: For each metric one value a user, ``[n]``.
        beyond: Coverage, Gini, popularity, novelty and diversity of the lists at the largest cut-off, of
            users with so many unseen items.
        skipped: Users without held-out items.
        items: Lists at the largest cut-off, -1 where one ends, ``[n, k]``; or None.
    """

    users: np.ndarray
    per_user: Mapping[str, Array]
    beyond: Mapping[str, float] = field(default_factory=dict)
    skipped: int = 0
    items: np.ndarray | None = None

    @property
    def means(self) -> dict[str, float]:
        """Mean over users of each metric, then what lies beyond accuracy."""
        return {name: float(values.mean()) for name, values in self.per_user.items()} | dict(self.beyond)

    def intervals(self) -> dict[str, dict[str, float]]:
        """``mean``, ``low`` and ``high`` of each accuracy metric (95 % bootstrap over users)."""
        return {name: _interval(values) for name, values in self.per_user.items()}

    def by_segment(
        self, labels: np.ndarray, num_segments: int, min_users: int = MIN_USERS
    ) -> list[dict[str, Any]]:
        """Metrics of the users in each segment.

        Args:
            labels: Segment of every user, -1 for none, ``[U]``.
            num_segments: ``S``.
            min_users: Of segments with fewer measured users nothing is told: ``users`` is None, metrics NaN.
        """
        own = labels[self.users]
        counts = np.bincount(own + 1, minlength=num_segments + 1)
        hidden = too_small(counts, min_users)[1:]
        return [
            {
                "segment": s,
                "users": None if hidden[s] else int(counts[s + 1]),
                "metrics": {m: _interval(v[(own == s) & ~hidden[s]]) for m, v in self.per_user.items()},
            }
            for s in range(num_segments)
        ]


def segment_gap(
    segments: Sequence[Mapping[str, Any]], metric: str, min_users: int = MIN_USERS
) -> float | None:
    """Best minus worst segment mean of a metric, among segments with enough users to tell."""
    means = [s["metrics"][metric]["mean"] for s in segments if (s["users"] or 0) >= min_users]
    return max(means) - min(means) if len(means) > 1 else None


def evaluate(
    scorer: Scorer,
    held_out: Interactions,
    seen: sp.csr_matrix,
    metrics: Sequence[str],
    popularity: np.ndarray | None = None,
    features: np.ndarray | None = None,
    tracker: Tracker | None = None,
    ranks: Ranks | None = None,
) -> Evaluation:
    """Rank the whole catalogue for every user with held-out items, seen items masked.

    Args:
        scorer: What is judged.
        held_out: The interactions to find.
        seen: Items never ranked, ``[U, I]``.
        metrics: Names such as ``ndcg@10``.
        popularity: Training interactions of each item, ``[I]``; with it, ``beyond`` is computed.
        features: Unit vectors of the items' texts, ``[I, f]``, for diversity.
        tracker: Shown the progress.
        ranks: The processes that rank together with this one, number 0, or None.

    Raises:
        ConfigError: For an unknown metric.
        TrainingError: If another process stopped.
    """
    longest = min(longest_cutoff(metrics), scorer.num_items)
    users = np.unique(held_out.users)
    tracker = tracker or Tracker()
    with tracker.task("ranking", len(users)) as task:
        ranked = top_k if ranks is None else partial(top_k_together, ranks)
        items, scores = ranked(scorer, users, longest, seen, task.advance)
    items = np.where(np.isfinite(scores), items, -1)
    return evaluate_lists(items, held_out, seen.shape, metrics, popularity, features)


def longest_cutoff(metrics: Sequence[str]) -> int:
    """Length of the lists that some metrics look at.

    Raises:
        ConfigError: For an unknown metric.
    """
    return max(k for _, k in map(parse, metrics))


def evaluate_lists(
    items: np.ndarray,
    held_out: Interactions,
    shape: tuple[int, int],
    metrics: Sequence[str],
    popularity: np.ndarray | None = None,
    features: np.ndarray | None = None,
) -> Evaluation:
    """Judge lists that are there, such as re-ranked ones.

    Args:
        items: For each user with held-out items, in the order of rows, the list of items, best first, -1
            where it ends, ``[n, k]``.
        held_out: The interactions to find.
        shape: ``U`` and ``I``.
        metrics: Names such as ``ndcg@10``.
        popularity: Training interactions of each item, ``[I]``; with it, ``beyond`` is computed.
        features: Unit vectors of the items' texts, ``[I, f]``, for diversity.

    Raises:
        ConfigError: For an unknown metric.
    """
    parsed = {name: parse(name) for name in metrics}
    users, relevant = np.unique(held_out.users, return_counts=True)
    hits = _contains(users[:, None] * shape[1] + items, held_out, shape[1]) & (items >= 0)
    per_user = {
        name: ACCURACY[metric](_columns(hits, k), relevant.astype(np.int64))
        for name, (metric, k) in parsed.items()
    }
    complete = items[(items >= 0).all(1)]
    known = popularity is not None and len(complete) > 0
    beyond = beyond_accuracy(complete, popularity, features) if known else {}  # type: ignore[arg-type]
    return Evaluation(users, per_user, beyond, shape[0] - len(users), items)


def evaluate_cold_items(
    scorer: Scorer, held_out: Interactions, seen: sp.csr_matrix, train: sp.csr_matrix, metrics: Sequence[str]
) -> dict[str, Evaluation]:
    """Cold and warm items apart; cold are those that no one has in training.

    Args:
        scorer: What is judged.
        held_out: The interactions to find.
        seen: Items never ranked, ``[U, I]``.
        train: Training interactions, ``[U, I]``.
        metrics: Names such as ``recall@20``.

    Returns:
        ``cold``: cold held-out items among the cold items that are held out; ``cold_in_all``: the same among
        the whole catalogue; ``warm``: warm held-out items among the warm ones. A kind without any held-out
        pair is missing.
    """
    known = np.bincount(train.indices, minlength=train.shape[1]) > 0
    of_cold = ~known[held_out.items]
    candidates = np.zeros(len(known), dtype=bool)
    candidates[held_out.items[of_cold]] = True
    kinds = {"cold": (of_cold, candidates), "cold_in_all": (of_cold, None), "warm": (~of_cold, known)}
    found = {}
    for name, (pairs, items) in kinds.items():
        if pairs.any():
            ranked = scorer if items is None else Among(scorer, torch.from_numpy(items).to(scorer.device))
            found[name] = evaluate(ranked, held_out[pairs], seen, metrics)
    return found


def _contains(keys: np.ndarray, pairs: Interactions, num_items: int) -> np.ndarray:
    """Which of the keys ``user * I + item`` are among the pairs."""
    known = np.sort(pairs.users * num_items + pairs.items)
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    found: np.ndarray = known[place] == keys
    return found


def _columns(hits: np.ndarray, k: int) -> np.ndarray:
    """The first ``k`` ranks; ranks past the end of the catalogue are no hits."""
    return np.pad(hits[:, :k], ((0, 0), (0, max(0, k - hits.shape[1]))))


def _interval(values: Array) -> dict[str, float]:
    found = mean_interval(values, numpy_rng(0, "bootstrap"))
    return {"mean": found.mean, "low": found.low, "high": found.high}
