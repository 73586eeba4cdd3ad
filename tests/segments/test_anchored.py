import numpy as np
import pytest
import torch
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KernelDensity

from gnnseg.segments import Agglomerative
from gnnseg.segments import anchored as module
from gnnseg.segments.anchored import landmarks, nearest, ward
from tests.segments.planted import Planted, embeddings_of, fit, graph_of, plant


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_ward_is_scikit_learns(seed: int, count: int) -> None:
    points = np.random.default_rng(seed).standard_normal((40, 5))
    oracle = AgglomerativeClustering(count, linkage="ward").fit_predict(points)
    found = ward(points, np.ones(40), count)
    assert adjusted_rand_score(found, oracle) == 1
    assert len(np.unique(found)) == count


@pytest.mark.parametrize("count", [2, 5])
def test_weights_are_users_in_one_place(count: int) -> None:
    rng = np.random.default_rng(0)
    points, sizes = rng.standard_normal((15, 3)), rng.integers(1, 6, size=15)
    repeated = np.repeat(np.arange(15), sizes)
    oracle = AgglomerativeClustering(count, linkage="ward").fit_predict(points[repeated])
    found = ward(points, sizes.astype(np.float64), count)
    assert adjusted_rand_score(found[repeated], oracle) == 1


def test_with_few_users_it_is_ward_on_them() -> None:
    planted = plant(noise=0.6)
    segmenter = fit(Agglomerative(num_segments=4, temperature=1e-6), planted)
    users = torch.nn.functional.normalize(planted.embeddings.users, dim=1).double().numpy()
    oracle = AgglomerativeClustering(4, linkage="ward").fit_predict(users)
    assert adjusted_rand_score(segmenter.labels.numpy(), oracle) == 1


def test_few_centres_are_enough_for_what_is_clear() -> None:
    planted = plant(users=200, groups=4)
    segmenter = fit(Agglomerative(num_segments=4, num_centres=12), planted)
    assert len(segmenter.anchors) == 12
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) == 1


def test_shares_are_densities_of_the_segments() -> None:
    """Each segment's anchors make a kernel density, that a share is in proportion to."""
    planted = plant(noise=0.5)
    segmenter = fit(Agglomerative(num_segments=3, normalize=False, temperature=0.5), planted)
    labels = segmenter.votes.argmax(1).numpy()
    anchors = segmenter.anchors.double().numpy()
    means = np.stack([anchors[labels == s].mean(0) for s in range(3)])
    width = 0.5 * ((anchors - means[labels]) ** 2).sum(1).mean()
    users = plant(seed=4, noise=0.7).embeddings.users
    density = np.stack(
        [
            (labels == s).sum()
            * np.exp(
                KernelDensity(bandwidth=(width / 2) ** 0.5).fit(anchors[labels == s]).score_samples(users)
            )
            for s in range(3)
        ],
        axis=1,
    )
    expected = density / density.sum(1, keepdims=True)
    np.testing.assert_allclose(segmenter(users).numpy(), expected, atol=1e-4)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant(noise=0.6)
    whole = fit(Agglomerative(num_segments=3), planted).memberships
    monkeypatch.setattr(module, "BLOCK", 7)
    torch.testing.assert_close(fit(Agglomerative(num_segments=3), planted).memberships, whole)


def test_fewer_different_users_than_segments() -> None:
    vectors = np.repeat(np.eye(3), 4, axis=0)
    planted = Planted(graph_of(np.ones((12, 2))), embeddings_of(vectors), np.repeat(np.arange(3), 4))
    segmenter = fit(Agglomerative(num_segments=5), planted)
    assert segmenter.num_segments == 3
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) == 1


def test_landmarks_look_at_a_bounded_number_of_points(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    kmeans = module.kmeans
    monkeypatch.setattr(
        module, "kmeans", lambda points, *rest: (seen.append(len(points)), kmeans(points, *rest))[1]
    )
    points = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    assert len(landmarks(points, 4, np.random.default_rng(0))) == 4
    assert seen == [200]
    assert torch.equal(landmarks(points[:9], 9, np.random.default_rng(0)), torch.unique(points[:9], dim=0))


def test_nearest() -> None:
    rng = np.random.default_rng(0)
    points, anchors = rng.standard_normal((30, 4)), rng.standard_normal((6, 4))
    expected = ((points[:, None] - anchors) ** 2).sum(-1).argmin(1)
    found = nearest(torch.from_numpy(points), torch.from_numpy(anchors))
    assert found.tolist() == expected.tolist()
