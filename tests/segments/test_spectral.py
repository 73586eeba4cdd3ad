import numpy as np
import pytest
import torch
from sklearn import cluster, datasets
from sklearn.metrics import adjusted_rand_score

from gnnseg.segments import CoClustering, KMeans, Spectral
from gnnseg.segments import spectral as module
from tests.segments.planted import Planted, embeddings_of, fit, graph_of, plant


@pytest.mark.parametrize("seed", range(3))
def test_co_clustering_is_scikit_learns(seed: int) -> None:
    planted = plant(seed=seed, users=80, items=60, groups=4, inside=0.5, outside=0.05)
    links = planted.graph.biadjacency().toarray().astype(np.float64)
    oracle = cluster.SpectralCoclustering(4, n_init=50, random_state=seed).fit(links)
    # scikit-learn takes one and ceil(log2 4) vectors, as the paper
    segmenter = fit(
        CoClustering(num_segments=4, num_vectors=2, num_starts=50, temperature=1e-4), planted, seed
    )
    assert adjusted_rand_score(segmenter.labels.numpy(), oracle.row_labels_) > 0.95


def test_co_clustering_vectors() -> None:
    """Singular vectors of the normalised matrix, divided by roots of degrees, equations 4 and 13."""
    planted = plant(users=30, items=20, outside=0.1)
    links = planted.graph.biadjacency()
    dense = links.toarray().astype(np.float64)
    users, items = dense.sum(1), dense.sum(0)
    left, _, right = np.linalg.svd(dense / np.sqrt(np.outer(users, items)))
    rows, columns = CoClustering(num_segments=4)._vectors(links, np.random.default_rng(0))
    for found, vectors, degrees in ((rows, left[:, 1:4], users), (columns, right[1:4].T, items)):
        expected = vectors / np.sqrt(degrees)[:, None]
        np.testing.assert_allclose(found * np.sign(found[0]), expected * np.sign(expected[0]), atol=1e-4)


@pytest.mark.parametrize("groups", [2, 5, 7])
def test_co_clusters(groups: int) -> None:
    planted = plant(users=140, items=105, groups=groups, noise=5.0)
    segmenter = fit(CoClustering(num_segments=groups), planted)
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95


def test_co_clustering_of_users_without_links() -> None:
    planted = plant()
    links = planted.graph.biadjacency().toarray()
    links[:5] = 0
    segmenter = fit(
        CoClustering(num_segments=3), Planted(graph_of(links), planted.embeddings, planted.groups)
    )
    torch.testing.assert_close(segmenter.memberships[:5], segmenter(planted.embeddings.users[:5]))


def moons() -> Planted:
    points, groups = datasets.make_moons(150, noise=0.04, random_state=0)
    return Planted(graph_of(np.ones((150, 2))), embeddings_of(points), groups)


def test_spectral_finds_what_has_no_centre() -> None:
    planted = moons()
    given = {"num_segments": 2, "normalize": False}
    segmenter = fit(Spectral(num_landmarks=60, num_neighbors=4, **given), planted)
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95
    assert adjusted_rand_score(fit(KMeans(**given), planted).labels.numpy(), planted.groups) < 0.6
    shifted = segmenter(planted.embeddings.users + 0.01)
    assert adjusted_rand_score(shifted.argmax(1).numpy(), planted.groups) > 0.95


def test_rows_are_eigenvectors_of_the_affinity() -> None:
    """Of ``Z D^-1 Z^T [U, U]``, which is never built."""
    planted = plant(noise=0.6)
    segmenter = fit(Spectral(num_segments=3, num_landmarks=20), planted)
    points = segmenter.points(planted.embeddings.users)
    z = segmenter._mixture(points).double().numpy()
    affinity = z @ np.diag(1 / z.sum(0)) @ z.T
    np.testing.assert_allclose(affinity.sum(1), 1, atol=1e-5)
    values, vectors = np.linalg.eigh(affinity)
    rows = segmenter._rows(points).double().numpy()
    top = vectors[:, -3:] * 90**0.5
    np.testing.assert_allclose(rows * np.sign(rows[0]), top * np.sign(top[0]), atol=1e-3)
    assert values[-4] < values[-3] - 0.01


def test_a_mixture_of_the_nearest_landmarks() -> None:
    planted = plant(noise=0.6)
    segmenter = fit(Spectral(num_landmarks=12, num_neighbors=3, normalize=False), planted)
    users, anchors = planted.embeddings.users.double().numpy(), segmenter.anchors.double().numpy()
    squared = ((users[:, None] - anchors) ** 2).sum(-1)
    bandwidth = np.sort(squared, axis=1)[:, :3].mean()
    kernel = np.exp(-squared / bandwidth) * (squared <= np.sort(squared, axis=1)[:, 2:3])
    expected = kernel / kernel.sum(1, keepdims=True)
    np.testing.assert_allclose(segmenter._mixture(planted.embeddings.users).numpy(), expected, atol=1e-5)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant(noise=0.6)
    whole = fit(Spectral(num_segments=3), planted).memberships
    monkeypatch.setattr(module, "BLOCK", 7)
    torch.testing.assert_close(fit(Spectral(num_segments=3), planted).memberships, whole, atol=1e-4, rtol=0)
