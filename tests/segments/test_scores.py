"""K-means on scores against k-means on the dense score matrix."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans as DenseKMeans
from sklearn.metrics import adjusted_rand_score

from gnnseg.errors import DataError
from gnnseg.graph import Embeddings
from gnnseg.segments import ScoreKMeans
from tests.segments.planted import graph_of

GRAPH = graph_of(np.ones((40, 30)))


def vectors(rank: int = 6) -> Embeddings:
    """Items that stretch some directions and lack others, so that scores cluster unlike vectors."""
    rng = np.random.default_rng(0)
    users = rng.normal(size=(40, 6)) + 3 * np.eye(6)[np.arange(40) % 3]
    items = rng.normal(size=(30, rank)) @ rng.normal(size=(rank, 6)) * np.array([4, 2, 1, 1, 0.5, 0.1])
    return Embeddings(torch.from_numpy(users).float(), torch.from_numpy(items).float())


@pytest.mark.parametrize("rank", [6, 2])
def test_distances_are_those_of_score_rows(rank: int) -> None:
    start = vectors(rank)
    segmenter = ScoreKMeans(num_segments=3).fit(GRAPH, start, np.random.default_rng(0))
    found = torch.cdist(*[(start.users @ segmenter.root).double()] * 2).numpy()
    rows = (start.users.double() @ start.items.double().T).numpy()
    expected = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


def test_clusters_are_those_of_the_dense_matrix() -> None:
    start = vectors()
    segmenter = ScoreKMeans(num_segments=3, num_starts=20).fit(GRAPH, start, np.random.default_rng(0))
    rows = (start.users.double() @ start.items.double().T).numpy()
    dense = DenseKMeans(3, n_init=20, random_state=0).fit(rows)
    assert adjusted_rand_score(segmenter.labels.numpy(), dense.labels_) == 1
    # what k-means minimises is the same number, too
    centres = segmenter.centres[segmenter.labels]
    inertia = (start.users @ segmenter.root - centres).square().sum().item()
    assert inertia == pytest.approx(dense.inertia_, rel=1e-4)
    by_vectors = DenseKMeans(3, n_init=20, random_state=0).fit(start.users.numpy())
    assert adjusted_rand_score(segmenter.labels.numpy(), by_vectors.labels_) < 0.9


def test_towards_zero_temperature_every_user_is_in_one_segment() -> None:
    segmenter = ScoreKMeans(num_segments=3, temperature=1e-6).fit(GRAPH, vectors(), np.random.default_rng(0))
    assert set(segmenter.memberships.unique().tolist()) == {0.0, 1.0}


def test_items_that_are_not_finite() -> None:
    users, items = vectors()
    items[3, 1] = float("nan")
    with pytest.raises(DataError, match="item vectors hold NaN or infinite values"):
        ScoreKMeans(num_segments=3).fit(GRAPH, Embeddings(users, items), np.random.default_rng(0))
