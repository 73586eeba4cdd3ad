"""Ranking by several processes gives what one gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnnseg.evaluation import evaluate
from gnnseg.lists import SUFFIXES, write_lists
from gnnseg.ranks import shares
from gnnseg.recommend import Recommender
from gnnseg.rules import Rules
from tests.ranks.judged import METRICS, scorer_of
from tests.ranks.shared import BLOCK_USERS, data, world
from tests.runs import ITEMS, USERS, saved_run

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


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lists_have_the_bytes_of_one_process(
    suffix: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = world(size).folder / f"lists{suffix}"
    monkeypatch.setattr("gnnseg.lists.BLOCK_ROWS", 50)
    monkeypatch.setattr("gnnseg.ranking.BLOCK_SCORES", 7 * ITEMS)
    out = tmp_path / found.name
    written = write_lists(Recommender.load(saved_run()), out, 5, None, Rules(diversity=0.3), texts=True)
    assert found.read_bytes() == out.read_bytes()
    for rank in range(size):
        assert int(world(size).tensors("lists", rank)["written"]) == written == 5 * USERS
    assert not list(found.parent.glob(f".lists{suffix}*"))
