from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from gnnseg.disclosure import too_small


@pytest.mark.parametrize("seed", range(30))
def test_fewest_groups_that_hide_enough(seed: int) -> None:
    """Against all ways to hide groups."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 25, size=rng.integers(1, 7))
    hidden = too_small(counts)
    small = {g for g in range(len(counts)) if 0 < counts[g] < 10}
    assert small <= set(np.flatnonzero(hidden).tolist())
    known = [g for g in range(len(counts)) if counts[g]]
    assert not hidden[counts == 0].any()
    if not small:
        assert not hidden.any()
        return
    safe = [
        chosen
        for size in range(1, len(known) + 1)
        for chosen in combinations(known, size)
        if small <= set(chosen) and (sum(counts[list(chosen)]) >= 10 or len(chosen) == len(known))
    ]
    assert hidden.sum() == min(map(len, safe))
    assert tuple(np.flatnonzero(hidden).tolist()) in safe


def test_limits() -> None:
    assert too_small(np.array([1, 100])).tolist() == [True, True]
    assert too_small(np.array([1, 100]), min_users=1).tolist() == [False, False]
    assert too_small(np.array([], dtype=np.int64)).tolist() == []
