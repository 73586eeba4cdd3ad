"""Ranking by several processes gives what one gives."""

from __future__ import annotations

import numpy as np
import pytest

from gnnseg.evaluation import evaluate
from gnnseg.ranks import shares
from tests.ranks.judged import METRICS, scorer_of
from tests.ranks.shared import BLOCK_USERS, data, world
from tests.runs import ITEMS

RANKED = [(2, "product", 7), (2, "mixture", 7), (3, "product", 7), (3, "mixture", 7), (3, "product", 999)]


@pytest.mark.parametrize(("size", "kind", "block"), RANKED)
def test_each_user_has_the_lists_and_metrics_of_one_process(
    size: int, kind: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the same blocks bit for bit; metrics whatever the blocks, also where all but one are idle."""
    found = world(size).tensors(f"{kind}-{block}")
    scorer = scorer_of(kind, data())
    whole = evaluate(scorer, data().parts.test, data().seen, METRICS)
    assert len(whole.users) > 50
    for name in METRICS:
        np.testing.assert_allclose(found[name].numpy(), whole.per_user[name], rtol=0, atol=1e-12)
    monkeypatch.setattr("gnnseg.ranking.BLOCK_SCORES", block * ITEMS)
    assert np.array_equal(
        found["items"].numpy(), evaluate(scorer, data().parts.test, data().seen, METRICS).items
    )


@pytest.mark.parametrize("size", [2, 3])
def test_lists_are_sent_to_the_first_once(size: int) -> None:
    """``12 k n`` bytes: items as 8 and scores as 4."""
    users = len(np.unique(data().parts.test.users))
    bounds = shares(users, size, BLOCK_USERS)
    for rank in range(1, size):
        count = bounds[rank + 1] - bounds[rank]
        assert count > 0
        assert int(world(size).tensors("product-7", rank)["sent"]) == 12 * 10 * count


@pytest.mark.parametrize(
    ("count", "size", "block", "bounds"),
    [
        (20, 2, 3, [0, 12, 20]),
        (20, 3, 7, [0, 7, 14, 20]),
        (5, 3, 9, [0, 5, 5, 5]),
        (0, 2, 4, [0, 0, 0]),
    ],
)
def test_shares_keep_blocks_together(count: int, size: int, block: int, bounds: list[int]) -> None:
    assert shares(count, size, block) == bounds
