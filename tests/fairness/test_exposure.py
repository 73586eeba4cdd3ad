from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.stats import entropy

from gnnseg.fairness import exposure, miscalibration, popularity_bins, popularity_lift
from gnnseg.metrics import gini

LISTS = np.array([[0, 1, 2], [1, 0, 5], [3, 1, -1]])
POPULARITY = np.array([30, 20, 10, 10, 10, 10])


def test_bins_have_a_third_of_the_interactions_each() -> None:
    assert popularity_bins(POPULARITY).tolist() == [0, 1, 1, 2, 2, 2]
    many = np.random.default_rng(0).zipf(1.6, 3000).clip(max=400)
    bins = popularity_bins(many)
    shares = np.array([many[bins == b].sum() for b in range(3)]) / many.sum()
    assert np.allclose(shares, 1 / 3, atol=0.02)
    assert many[bins == 0].min() >= many[bins == 1].max() >= many[bins == 2].max()
    assert popularity_bins(np.zeros(4, dtype=np.int64)).tolist() == [0, 0, 0, 0]


def test_exposure() -> None:
    found = exposure(LISTS, POPULARITY)
    shown = np.array([2, 3, 1, 1, 0, 1])
    assert found["coverage"] == 5 / 6
    assert found["gini"] == pytest.approx(gini(shown.astype(float)))
    head, middle, tail = found["bins"]
    assert (head["items"], middle["items"], tail["items"]) == (1, 2, 3)
    assert [b["of_lists"] for b in found["bins"]] == pytest.approx([2 / 8, 4 / 8, 2 / 8])
    assert [b["of_interactions"] for b in found["bins"]] == pytest.approx([30 / 90, 30 / 90, 30 / 90])
    assert tail["of_items"] == 0.5


def test_popularity_lift() -> None:
    history = sp.csr_matrix(np.array([[0, 0, 1, 1, 0, 0], [1, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]))
    had = (10 + 20) / 2  # the third user has no history, and is left out
    shown = ((30 + 20 + 10) / 3 + (20 + 30 + 10) / 3) / 2
    assert popularity_lift(LISTS, history, POPULARITY) == pytest.approx(shown / had - 1)
    assert popularity_lift(LISTS[2:], history[2:], POPULARITY) is None
    short = ((30 + 20 + 10) / 3 + (10 + 20) / 2) / 2
    assert popularity_lift(LISTS[[0, 2]], history[[0, 1]], POPULARITY) == pytest.approx(short / had - 1)


def slow_divergence(history: list[int], items: list[int], tags: list[list[str]]) -> float:
    """Steck's formulas, one user, by names of tags and scipy's relative entropy."""
    names = sorted({t for own in tags for t in own})

    def spread(rows: list[int]) -> np.ndarray:
        mass = dict.fromkeys(names, 0.0)
        for row in rows:
            for tag in tags[row]:
                mass[tag] += 1 / len(tags[row])
        total = np.array([mass[n] for n in names])
        return total / total.sum()

    p, q = spread(history), spread(items)
    return float(entropy(p, 0.99 * q + 0.01 * p))


def test_miscalibration() -> None:
    tags = [["a"], ["a", "b"], ["b", "c"], ["c"], [], ["a", "b", "c"]]
    names = ["a", "b", "c"]
    matrix = sp.csr_matrix(np.array([[float(n in own) for n in names] for own in tags]))
    histories = [[0, 1], [2, 3, 5], [4]]
    history = sp.lil_matrix((3, 6))
    for user, rows in enumerate(histories):
        history[user, rows] = 1
    found = miscalibration(LISTS, history.tocsr(), matrix)
    lists = [[i for i in row if i >= 0] for row in LISTS.tolist()]
    for user in range(2):
        assert found[user] == pytest.approx(slow_divergence(histories[user], lists[user], tags))
    assert math.isnan(found[2])
    assert miscalibration(np.array([[1, 0]]), history.tocsr()[:1], matrix)[0] == pytest.approx(0)
