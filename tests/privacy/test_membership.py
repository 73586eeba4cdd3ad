from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from gnnseg.errors import DataError
from gnnseg.privacy import membership
from gnnseg.privacy.membership import auc
from gnnseg.scoring import Scorer

USERS, ITEMS = 120, 60


class Table(Scorer):
    """Scores that are written down, ``[U, I]``."""

    table: Tensor

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.num_items = table.shape[1]
        self.register_buffer("table", torch.from_numpy(table.astype(np.float32)))

    def score(self, users: Tensor) -> Tensor:
        return self.table[users]


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise as scores, and what was trained on and held out."""
    rng = np.random.default_rng(seed)
    part = rng.choice(3, p=[0.6, 0.3, 0.1], size=(USERS, ITEMS))
    return rng.normal(size=part.shape), part == 1, part == 2


def attack(table: np.ndarray, train: np.ndarray, held_out: np.ndarray, **options: int) -> dict[str, Any]:
    return membership(Table(table), sp.csr_matrix(train), sp.csr_matrix(held_out), **options)


def test_auc_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        inside, outside = rng.integers(0, 6, 7).astype(float), rng.integers(0, 6, 4).astype(float)
        expected = roc_auc_score([1] * 7 + [0] * 4, np.concatenate([inside, outside]))
        assert auc(inside, outside) == pytest.approx(expected)


def test_a_model_that_remembers_nothing() -> None:
    found = attack(*world())
    assert found["auc"]["low"] < 0.5 < found["auc"]["high"]
    assert found["found_at_1_percent"] < 0.05


def test_a_model_that_remembers_all() -> None:
    table, train, held_out = world()
    found = attack(table + 100 * train, train, held_out)
    assert found["auc"]["mean"] == 1
    assert found["found_at_1_percent"] == 1
    assert found["difference"]["low"] > 0


def test_within_users_with_both_kinds() -> None:
    table, train, held_out = world()
    held_out[::2] = False
    train[1] = False
    scores = (table + 0.5 * train).astype(np.float32)
    found = attack(scores, train, held_out)
    rows = [u for u in range(USERS) if train[u].any() and held_out[u].any()]
    kept = [train[u] | held_out[u] for u in rows]
    aucs = [roc_auc_score(train[u][k], scores[u][k]) for u, k in zip(rows, kept, strict=True)]
    popular = train.sum(0)
    others = [roc_auc_score(train[u][k], popular[k]) for u, k in zip(rows, kept, strict=True)]
    assert found["auc"]["mean"] == pytest.approx(np.mean(aucs))
    assert found["popularity_auc"]["mean"] == pytest.approx(np.mean(others))
    assert found["difference"]["mean"] == pytest.approx(np.mean(aucs) - np.mean(others))
    pairs = (len(rows), train[rows].sum(), held_out[rows].sum())
    assert (found["users"], found["trained_on"], found["held_out"]) == pairs


def test_users_are_drawn() -> None:
    found = attack(*world(), max_users=20)
    assert found["users"] == 20
    assert found == attack(*world(), max_users=20)
    assert found["auc"] != attack(*world(), max_users=20, seed=1)["auc"]


def test_nothing_to_tell_apart() -> None:
    table, train, held_out = world()
    with pytest.raises(DataError, match="nothing to tell apart"):
        attack(table, train, held_out & False)
