"""K-means of several processes against scikit-learn and numpy on all points at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from tests.ranks.shared import MEANS, points, world

SIZES = pytest.mark.parametrize("size", [2, 3])


def steps_of(x: np.ndarray, centres: np.ndarray) -> int:
    """Assignments until the centres rest, all by hand."""
    for step in range(1, 300):
        labels = ((x[:, None] - centres[None]) ** 2).sum(-1).argmin(1)
        moved = np.stack([x[labels == s].mean(0) for s in range(len(centres))])
        if ((moved - centres) ** 2).sum() <= 1e-4 * x.var(0).mean():
            return step
        centres = moved
    raise AssertionError


@SIZES
def test_lloyd_is_that_of_all_points(size: int) -> None:
    x = points().double().numpy()
    expected = KMeans(MEANS["num_segments"], init=x[: MEANS["num_segments"]], n_init=1).fit(x)
    parts = [world(size).tensors("means", rank) for rank in range(size)]
    assert np.array_equal(torch.cat([part["labels"] for part in parts]).numpy(), expected.labels_)
    assert len(set(expected.labels_)) == MEANS["num_segments"]
    for part in parts:
        np.testing.assert_allclose(part["centres"], expected.cluster_centers_, atol=1e-5)


@SIZES
def test_bytes_are_those_of_the_formula(size: int) -> None:
    """``8 S (d + 1)`` a step, and ``8 (2d + 1)`` for the variance."""
    x, count, dim = points().double().numpy(), MEANS["num_segments"], MEANS["dim"]
    steps = steps_of(x, x[:count])
    assert steps > 1
    expected = 2 * (size - 1) / size * 8 * (steps * count * (dim + 1) + 2 * dim + 1)
    for rank in range(size):
        assert float(world(size).tensors("means", rank)["moved"]) == pytest.approx(expected)


@SIZES
def test_the_sample_is_of_all_users_in_their_order(size: int) -> None:
    sample, whole = world(size).tensors("means")["sample"], points()
    rows = [int((whole == row).all(1).nonzero()) for row in sample]
    assert len(rows) == MEANS["sample"]
    assert rows == sorted(set(rows))
    assert rows[0] < 250 <= rows[-1]
    assert "sample" not in world(size).tensors("means", 1)
