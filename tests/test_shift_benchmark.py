"""``benchmarks/shift.py`` on parts whose difference is known."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnnseg.data import Interactions

FOLDER = Path(__file__).parents[1] / "benchmarks"
USERS, ITEMS, GROUPS = 400, 60, 4


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if not FOLDER.is_dir():
        pytest.skip("benchmarks are not beside the tests")
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("shift")
    for name in ("shift", "shared"):
        sys.modules.pop(name, None)


def test_a_part_drawn_at_random_and_one_of_some_items(shift: Any) -> None:
    """Each user has all items of two groups; held out is a third at random, or the last third of items."""
    rng = np.random.default_rng(0)
    group = np.arange(ITEMS) % GROUPS
    users = np.repeat(np.arange(USERS), ITEMS)
    items = np.tile(np.arange(ITEMS), USERS)
    has = (group[items] == users % GROUPS) | (group[items] == (users + 1) % GROUPS)
    users, items = users[has], items[has]
    directions = np.eye(GROUPS)[group]
    last = items >= ITEMS * 2 // 3
    found = {}
    for name, held in {"random": rng.random(len(users)) < 1 / 3, "last": last}.items():
        train = Interactions(users[~held], items[~held]).matrix(USERS, ITEMS)
        found[name] = shift.described(Interactions(users[held], items[held]), train, directions)
    assert found["random"]["overdispersion"] == pytest.approx(0, abs=0.01)
    assert found["last"]["overdispersion"] == pytest.approx(1, abs=0.01)
    assert found["random"]["history_cosine"] == pytest.approx(0.5, abs=0.05)
    assert found["last"]["log_degree"] == 0
    assert found["random"]["log_degree"] > 4


def test_likeness_by_hand(shift: Any) -> None:
    """One user: two held-out items at 60 degrees, one item of the history along the first."""
    directions = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
    train = Interactions(np.array([0]), np.array([0])).matrix(1, 3)
    found = shift.described(Interactions(np.array([0, 0]), np.array([1, 2])), train, directions)
    assert found["history_cosine"] == pytest.approx((1 + 0.5) / 2)
    assert found["own_cosine"] == pytest.approx(0.5)
