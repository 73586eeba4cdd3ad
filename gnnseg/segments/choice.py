"""How many segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments.base import Segmenter
from gnnseg.segments.quality import modularity, silhouette

BY_LIFT = "the largest validation lift"
NO_GAIN = f"{BY_LIFT}, which is not proved to be above 0: segments do not help here"
BY_STABILITY = "the most segments whose stability is within one standard error of the best"


class Gain(NamedTuple):
    """What segments bring on validation.

    Attributes:
        value: Larger is better.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """One number of segments and how it did.

    Attributes:
        num_segments: What was asked for.
        found: Segments that are the strongest of some user.
        stability: Mean adjusted Rand index between fits on subsamples of users, at most 1.
        standard_error: Of ``stability``, over pairs of subsamples.
        silhouette: Of a fit on all users, None where not defined.
        modularity: Of a fit on all users, None where not defined.
        lift: On validation, of a fit on all users, None where it was not measured.
        lift_low: Lower end of its 95 % interval.
        lift_high: Upper end.
    """

    num_segments: int
    found: int
    stability: float
    standard_error: float
    silhouette: float | None
    modularity: float | None
    lift: float | None
    lift_low: float | None = None
    lift_high: float | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """The number of segments to use.

    Attributes:
        num_segments: The choice.
        rule: What it was chosen by.
        candidates: All that were tried, fewest segments first.
    """

    num_segments: int
    rule: str
    candidates: list[Candidate]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def choose_num_segments(
    make: Callable[[int], Segmenter],
    candidates: Sequence[int],
    graph: BipartiteGraph,
    embeddings: Embeddings,
    rng: np.random.Generator,
    lift: Callable[[Segmenter], Gain] | None = None,
    *,
    draws: int = 5,
    share: float = 0.8,
) -> Choice:
    """Choose the number of segments.

    What segments are for counts most: with ``lift`` the number with the largest one is chosen, of equals the
    smallest. Without, or where no lift is a number, it is the largest number whose stability is within one
    standard error (of the best) of the best. Stability is that of Ben-Hur et al. (2002, "A stability based
    method for discovering structure in clustered data", PSB 7), with the adjusted Rand index for their
    similarity: how well two fits, each on users drawn without replacement, agree on the users that both
    know. The one-standard-error rule is that of Breiman et al. (1984, "Classification and Regression Trees",
    section 3.4.3), turned towards more segments, as few are always stable. Silhouette and modularity are for
    the reader; they grow or fall with the number by themselves.

    Args:
        make: A new segmenter for a number of segments.
        candidates: Numbers to try, two or more.
        graph: The training graph.
        embeddings: Users ``[U, d]`` and items ``[I, d]``.
        rng: Source of the subsamples, the same for all candidates, and of the fits.
        lift: What a segmenter fitted on all users brings on validation, larger is better, or None.
        draws: Pairs of subsamples, two or more.
        share: Share of the users in a subsample.

    Raises:
        ConfigError: If there is no candidate, one is less than 2 or more than a subsample has users, or
            another argument is out of range.
    """
    counts = _checked(candidates, graph.num_users, draws, share)
    size = int(share * graph.num_users)
    pairs = [(_sample(graph, size, rng), _sample(graph, size, rng)) for _ in range(draws)]
    found = []
    for count in counts:
        scores = [_agreement(partial(make, count), graph, embeddings, pair, rng) for pair in pairs]
        fitted = make(count).fit(graph, embeddings, rng)
        labels = fitted.labels.cpu().numpy()
        gain = Gain(*(float(x) for x in lift(fitted))) if lift is not None else None
        found.append(
            Candidate(
                num_segments=count,
                found=len(np.unique(labels[labels >= 0])),
                stability=float(np.mean(scores)),
                standard_error=float(np.std(scores, ddof=1) / draws**0.5),
                silhouette=silhouette(embeddings, labels, rng),
                modularity=modularity(graph, labels),
                lift=None if gain is None else gain.value,
                lift_low=None if gain is None else gain.low,
                lift_high=None if gain is None else gain.high,
            )
        )
    return _choose(found)


def _choose(candidates: list[Candidate]) -> Choice:
    """Candidates are in ascending order, so the first of equals has the fewest segments."""
    lifted = [c for c in candidates if c.lift is not None and np.isfinite(c.lift)]
    if lifted:
        best = max(lifted, key=lambda c: c.lift or 0.0)
        rule = BY_LIFT if best.lift_low is None or best.lift_low > 0 else NO_GAIN
        return Choice(best.num_segments, rule, candidates)
    best = max(candidates, key=lambda c: c.stability)
    enough = [c for c in candidates if c.stability >= best.stability - best.standard_error]
    return Choice(enough[-1].num_segments, BY_STABILITY, candidates)


def _agreement(
    make: Callable[[], Segmenter],
    graph: BipartiteGraph,
    embeddings: Embeddings,
    samples: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> float:
    """Adjusted Rand index of fits on two samples of users, on the users in both."""
    from sklearn.metrics import adjusted_rand_score

    _, *places = np.intersect1d(samples[0], samples[1], assume_unique=True, return_indices=True)
    labels = []
    for rows, place in zip(samples, places, strict=True):
        part = BipartiteGraph(graph.biadjacency()[rows], graph.device)
        chosen = torch.from_numpy(rows).to(embeddings.users.device)
        fitted = make().fit(part, Embeddings(embeddings.users[chosen], embeddings.items), rng)
        labels.append(fitted.labels.cpu().numpy()[place])
    return float(adjusted_rand_score(*labels))


def _sample(graph: BipartiteGraph, size: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of ``size`` users, ascending."""
    return np.sort(rng.permutation(graph.num_users)[:size])


def _checked(candidates: Sequence[int], num_users: int, draws: int, share: float) -> list[int]:
    """The candidates in ascending order."""
    if not 0.5 < share < 1:
        raise ConfigError(f"'share' must be above 0.5 and below 1, so that samples overlap (got {share})")
    if draws < 2:
        raise ConfigError(f"'draws' must be at least 2 (got {draws})")
    counts = sorted(set(candidates))
    if not counts:
        raise ConfigError("'candidates' must name a number of segments (got none)")
    most = int(share * num_users)
    if counts[0] < 2 or counts[-1] > most:
        wrong = counts[0] if counts[0] < 2 else counts[-1]
        raise ConfigError(f"'candidates' must be from 2 to {most}, the users of a subsample (got {wrong})")
    return counts
