import logging

import numpy as np
import pytest
import torch
from sklearn import cluster, datasets
from sklearn.metrics import adjusted_rand_score

from gnnseg.errors import ConfigError
from gnnseg.segments import DBSCAN, HDBSCAN, Segmenter
from gnnseg.segments.density import knee, neighbor_distances
from tests.segments.planted import Planted, embeddings_of, fit, graph_of, plant

BOTH = pytest.mark.parametrize("cls", [DBSCAN, HDBSCAN])


def rings(noise: int = 6) -> Planted:
    """Two half moons, which no centre tells apart, and users far from both (group -1)."""
    points, groups = datasets.make_moons(120, noise=0.04, random_state=0)
    angle = np.linspace(0, 2 * np.pi, noise, endpoint=False)
    far = np.array([0.5, 0.25]) + 6 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    vectors = np.concatenate([points, far])
    groups = np.concatenate([groups, np.full(noise, -1)])
    return Planted(graph_of(np.ones((len(vectors), 2))), embeddings_of(vectors), groups)


def float64(planted: Planted) -> np.ndarray:
    return planted.embeddings.users.double().numpy()


@pytest.mark.parametrize("eps", [0.2, 0.5, 3.0])
def test_dbscan_is_scikit_learns(eps: float) -> None:
    planted = rings()
    segmenter = fit(DBSCAN(eps=eps, min_users=5, normalize=False, temperature=1e-3), planted)
    oracle = cluster.DBSCAN(eps=eps, min_samples=5).fit(float64(planted))
    found = segmenter.labels.numpy()
    assert ((found == -1) == (oracle.labels_ == -1)).all()
    core = oracle.core_sample_indices_
    assert adjusted_rand_score(found[core], oracle.labels_[core]) == 1


def test_hdbscan_is_scikit_learns() -> None:
    planted = rings()
    segmenter = fit(HDBSCAN(min_users=5, normalize=False, temperature=1e-3), planted)
    oracle = cluster.HDBSCAN(min_cluster_size=5, min_samples=5, copy=True).fit(float64(planted)).labels_
    found = segmenter.labels.numpy()
    assert ((found == -1) == (oracle == -1)).all()
    assert adjusted_rand_score(found, oracle) == 1


@BOTH
def test_shapes_without_a_centre(cls: type[Segmenter]) -> None:
    planted = rings()
    segmenter = fit(cls(min_users=5, normalize=False, temperature=0.01), planted)
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95


@BOTH
def test_strangers(cls: type[Segmenter]) -> None:
    planted = rings()
    segmenter = fit(cls(min_users=5, normalize=False, temperature=0.01), planted)
    inside = planted.embeddings.users[:120] + 0.005
    kept = segmenter(inside).argmax(1)
    assert adjusted_rand_score(kept.numpy(), planted.groups[:120]) > 0.95
    far = torch.tensor([[20.0, 20.0], [-9.0, 3.0]])
    assert not segmenter(far).any()


@BOTH
def test_a_sample_stands_for_all(cls: type[Segmenter]) -> None:
    planted = plant(users=240)
    segmenter = fit(cls(max_users=120), planted)
    assert segmenter.num_segments == 3
    assert 60 < len(segmenter.anchors) <= 120
    labels = segmenter.labels.numpy()
    inside = labels >= 0
    assert inside.mean() > 0.8
    assert adjusted_rand_score(labels[inside], planted.groups[inside]) == 1


@BOTH
def test_nothing_is_dense(cls: type[Segmenter], caplog: pytest.LogCaptureFixture) -> None:
    vectors = np.eye(12) * 2.0 ** np.arange(12)[:, None]
    planted = Planted(graph_of(np.ones((12, 2))), embeddings_of(vectors), np.zeros(12))
    given = {"eps": 0.5} if cls is DBSCAN else {}
    with caplog.at_level(logging.WARNING, logger="gnnseg"):
        segmenter = fit(cls(min_users=5, normalize=False, **given), planted)
    assert segmenter.num_segments == 1
    assert torch.equal(segmenter.memberships, torch.zeros(12, 1))
    assert torch.equal(segmenter(planted.embeddings.users), torch.zeros(12, 1))
    assert (segmenter.labels == -1).all()
    assert f"{cls.__name__} found no dense place" in caplog.text
    again = cls()
    again.load_state_dict(segmenter.state_dict())
    assert torch.equal(again(planted.embeddings.users), torch.zeros(12, 1))


def test_one_region_where_it_is_allowed() -> None:
    points = np.random.default_rng(0).standard_normal((60, 2))
    planted = Planted(graph_of(np.ones((60, 2))), embeddings_of(points), np.zeros(60))
    oracle = cluster.HDBSCAN(min_cluster_size=15, min_samples=15, allow_single_cluster=True, copy=True)
    found = fit(HDBSCAN(min_users=15, normalize=False, one_allowed=True), planted)
    assert found.labels.tolist() == oracle.fit(float64(planted)).labels_.tolist()
    assert found.num_segments == 1
    assert (found.labels == 0).any()
    assert not (fit(HDBSCAN(min_users=15, normalize=False), planted).labels == 0).any()


def test_knee() -> None:
    """Of a curve that is flat, then steep, the last flat value."""
    values = np.concatenate([np.linspace(1, 1.2, 50), np.linspace(2, 9, 10)])
    assert knee(np.random.default_rng(0).permutation(values)) == pytest.approx(1.2)
    assert knee(np.full(5, 3.0)) == 3
    assert knee(np.array([2.0])) == 2


def test_neighbor_distances_by_brute_force() -> None:
    points = np.random.default_rng(1).standard_normal((25, 3))
    distances = np.sort(np.linalg.norm(points[:, None] - points, axis=-1), axis=1)
    np.testing.assert_allclose(neighbor_distances(points, 4), distances[:, 3])


@BOTH
@pytest.mark.parametrize(("key", "value"), [("min_users", 0), ("max_users", 0), ("temperature", 0.0)])
def test_wrong_hyperparameters(cls: type[Segmenter], key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{cls.__name__}: '{key}' .*got"):
        cls(**{key: value})
    with pytest.raises(ConfigError, match=r"DBSCAN: 'eps' .*got"):
        DBSCAN(eps=0.0)


@BOTH
@pytest.mark.parametrize("users", [1, 2])
def test_hardly_any_users(cls: type[Segmenter], users: int) -> None:
    planted = Planted(graph_of(np.ones((users, 2))), embeddings_of(np.eye(2)[:users]), np.zeros(users))
    segmenter = fit(cls(), planted)
    assert segmenter.memberships.shape[0] == users
    assert set(segmenter.memberships.sum(1).tolist()) <= {0.0, 1.0}
