"""How segments of the same users change between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnseg.disclosure import MIN_USERS, too_small
from gnnseg.errors import DataError
from gnnseg.scoring import strongest


@dataclass(frozen=True, slots=True)
class Drift:
    """What became of the segments ``S`` of one run in the segments ``T`` of another.

    Attributes:
        users: Users in both runs.
        left: Users of the first run alone.
        joined: Users of the second run alone.
        rand: Adjusted Rand index of the users in both, 1 where the partitions are the same, about 0 where
            they have nothing in common.
        mutual_information: Normalised by the mean entropy, 0 to 1.
        moved: Share of the users in both who are not in the segment that matches the one they were in.
        matches: For each segment of the first run the one of the second that matches it, or None where the
            second has too few, ``S``.
        counts: Users by segment before and after, ``[S + 1, T + 1]``; the last row and column hold those
            outside every segment.
    """

    users: int
    left: int
    joined: int
    rand: float
    mutual_information: float
    moved: float
    matches: list[int | None]
    counts: np.ndarray

    @property
    def transitions(self) -> np.ndarray:
        """Where the users of each segment went, ``[S + 1, T + 1]``; rows sum to one, or zero if empty."""
        shares: np.ndarray = self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1)
        return shares

    def as_dict(self, min_users: int = MIN_USERS) -> dict[str, Any]:
        """For JSON; counts of fewer users, and what would tell them, are None.

        Args:
            min_users: Least number that is told; 0 tells all.
        """
        hidden = np.array([too_small(row, min_users) for row in self.counts])
        shares = self.transitions.round(4)

        def told(count: int) -> int | None:
            return None if 0 < count < min_users else count

        return {
            "users": self.users,
            "left": told(self.left),
            "joined": told(self.joined),
            "rand": self.rand,
            "mutual_information": self.mutual_information,
            "moved": self.moved,
            "matches": self.matches,
            "sizes": [told(size) for size in self.counts.sum(1).tolist()],
            "counts": _told(self.counts, hidden),
            "transitions": _told(shares, hidden),
        }


def drift(
    before: np.ndarray, after: np.ndarray, ids_before: Sequence[str], ids_after: Sequence[str]
) -> Drift:
    """Compare the segments of two runs on the users they share.

    Segments are matched one to one so that as many users as possible stay (Kuhn 1955,
    doi 10.1002/nav.3800020109); numbers of segments mean nothing across runs. A user is where its membership
    is strongest; outside every segment matches outside.

    Args:
        before: Memberships in the first run, ``[U, S]``.
        after: Memberships in the second run, ``[V, T]``.
        ids_before: Outside ids of the first run's users, ``U``.
        ids_after: Outside ids of the second run's users, ``V``.

    Raises:
        DataError: If ids do not fit the memberships or repeat, or the runs share no user.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn import metrics

    rows = [_rows(table, ids) for table, ids in ((before, ids_before), (after, ids_after))]
    shared = [name for name in ids_before if name in rows[1]]
    if not shared:
        raise DataError(
            f"the two runs have no user in common ({len(ids_before)} users there, {len(ids_after)} here)"
        )
    first, second = (
        strongest(table)[[row[name] for name in shared]]
        for table, row in zip((before, after), rows, strict=True)
    )
    size_before, size_after = before.shape[1], after.shape[1]
    counts = np.zeros((size_before + 1, size_after + 1), dtype=np.int64)
    np.add.at(counts, (first, second), 1)  # label -1 is the last row or column
    matched = linear_sum_assignment(-counts[:-1, :-1])
    stayed = counts[matched].sum() + counts[-1, -1]
    match = dict(zip(*(part.tolist() for part in matched), strict=True))
    return Drift(
        users=len(shared),
        left=len(ids_before) - len(shared),
        joined=len(ids_after) - len(shared),
        rand=float(metrics.adjusted_rand_score(first, second)),
        mutual_information=float(metrics.normalized_mutual_info_score(first, second)),
        moved=float(1 - stayed / len(shared)),
        matches=[match.get(segment) for segment in range(size_before)],
        counts=counts,
    )


def _told(table: np.ndarray, hidden: np.ndarray) -> list[list[float | None]]:
    """A table with None in place of what is hidden."""
    pairs = zip(table.tolist(), hidden.tolist(), strict=True)
    return [[None if h else v for v, h in zip(*row, strict=True)] for row in pairs]


def _rows(memberships: np.ndarray, ids: Sequence[str]) -> dict[str, int]:
    if memberships.ndim != 2 or len(memberships) != len(ids):
        raise DataError(f"memberships must be [{len(ids)}, S], a row an id (got {list(memberships.shape)})")
    rows = {name: row for row, name in enumerate(ids)}
    if len(rows) != len(ids):
        raise DataError(f"user ids must be unique (got {len(ids) - len(rows)} repeated)")
    return rows
