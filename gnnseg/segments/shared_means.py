"""K-means of users who are divided among processes, which tell each other sums over each segment alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnseg.ranks import Ranks

SAMPLE = 2**17
"""Users that process 0 begins with; of no more than these it has what one process has."""

TOLERANCE = 1e-4
"""Of the mean variance: how far the centres together may still move, squared, at the end; scikit-learn's."""

MAX_STEPS = 300


def sampled(points: Tensor, ranks: Ranks, rng: np.random.Generator, size: int = SAMPLE) -> Tensor | None:
    """Points of a sample without repetition of all users in their order, in process 0; elsewhere None.

    Args:
        points: Of this process's users, ``[u, d]``.
        ranks: The processes.
        rng: The same in each; not used where all users are taken.
        size: Of the sample.
    """
    counts = torch.zeros(ranks.size, dtype=torch.int64)
    counts[ranks.rank] = len(points)
    ends = ranks.sum_(counts, "segments").cumsum(0).numpy()
    total, first = int(ends[-1]), int(ends[ranks.rank]) - len(points)
    chosen = np.arange(total) if total <= size else np.sort(rng.choice(total, size, replace=False))
    places = np.searchsorted(chosen, ends)
    lengths = np.diff(places, prepend=0).tolist()
    own = chosen[places[ranks.rank] - lengths[ranks.rank] : places[ranks.rank]] - first
    return ranks.pile(points[torch.from_numpy(own)], lengths)


def lloyd(points: Tensor, centres: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor]:
    """Lloyd's iteration on the users of all processes (1982, doi 10.1109/TIT.1982.1056489), in float64.

    Each step sums ``S (d + 1)`` numbers over the processes: the sum and the number of each segment's points.
    A segment that nobody is nearest to keeps its centre.

    Args:
        points: Of this process's users, ``[u, d]``.
        centres: Where to begin, the same in each process, ``[S, d]``.
        ranks: The processes.

    Returns:
        Centres ``[S, d]``, and the nearest of them of the own users, ``[u]``.
    """
    exact, found = points.detach().double(), centres.double()
    allowed = TOLERANCE * _mean_variance(exact, ranks)
    ones = exact.new_ones(len(exact), 1)
    for _ in range(MAX_STEPS):
        labels = torch.cdist(exact, found).argmin(1)
        sums = found.new_zeros(len(found), found.shape[1] + 1)
        sums.index_add_(0, labels, torch.cat([exact, ones], dim=1))
        ranks.sum_(sums, "segments")
        sizes = sums[:, -1:]
        means = torch.where(sizes > 0, sums[:, :-1] / sizes.clamp(min=1), found)
        if float((means - found).square().sum()) <= allowed:
            break
        found = means
    else:
        labels = torch.cdist(exact, found).argmin(1)
    return found.to(points), labels


def _mean_variance(points: Tensor, ranks: Ranks) -> float:
    """Mean over the coordinates of the variance of all processes' points ``[u, d]``."""
    sums = torch.cat([points.sum(0), points.new_tensor([len(points)])])
    ranks.sum_(sums, "segments")
    mean = sums[:-1] / sums[-1]
    squares = ranks.sum_((points - mean).square().sum(0), "segments")
    return float((squares / sums[-1]).mean())
