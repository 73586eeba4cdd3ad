import numpy as np
import pytest
import torch
from sklearn import cluster, mixture
from sklearn.metrics import adjusted_rand_score

from gnnseg.errors import ConfigError
from gnnseg.segments import GaussianMixture, KMeans, OneSegment
from gnnseg.segments.base import as_seed
from tests.segments.planted import fit, plant

UNIT = pytest.mark.parametrize("normalize", [True, False])


def points(users: torch.Tensor, normalize: bool) -> np.ndarray:
    vectors = users.double().numpy()
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if normalize else vectors


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


@UNIT
def test_kmeans_is_scikit_learns(normalize: bool) -> None:
    planted = plant(noise=0.5)
    segmenter = fit(KMeans(num_segments=4, normalize=normalize, num_starts=3), planted)
    seed = as_seed(np.random.default_rng(0))
    vectors = points(planted.embeddings.users, normalize)
    oracle = cluster.KMeans(4, n_init=3, random_state=seed).fit(vectors)
    assert adjusted_rand_score(segmenter.labels.numpy(), oracle.labels_) == 1
    width = 0.25 * oracle.inertia_ / len(vectors)
    expected = softmax(-(oracle.transform(vectors) ** 2) / width)
    np.testing.assert_allclose(segmenter.memberships.numpy(), expected, atol=1e-4)


def test_kmeans_of_directions_ignores_lengths() -> None:
    planted = plant(noise=0.5)
    lengths = torch.linspace(0.1, 50, 90).unsqueeze(1)
    segmenter = fit(KMeans(num_segments=3), planted)
    torch.testing.assert_close(segmenter(planted.embeddings.users * lengths), segmenter.memberships)
    plain = fit(KMeans(num_segments=3, normalize=False), planted)
    assert not torch.allclose(plain(planted.embeddings.users * lengths), plain.memberships, atol=0.1)


@pytest.mark.parametrize(("cls", "cold"), [(KMeans, 1e-6), (GaussianMixture, 1e-6)])
def test_cold_is_hard(cls: type[KMeans | GaussianMixture], cold: float) -> None:
    vague = plant(noise=0.5)
    hard = fit(cls(num_segments=3, temperature=cold), vague).memberships
    assert torch.all(hard.max(1).values > 0.999)
    soft = fit(cls(num_segments=3, temperature=100.0), vague).memberships
    assert torch.all(soft.max(1).values < 0.9)
    assert torch.equal(hard.argmax(1), soft.argmax(1))


@UNIT
def test_mixture_is_scikit_learns(normalize: bool) -> None:
    planted = plant(noise=0.4)
    segmenter = fit(GaussianMixture(num_segments=3, temperature=1.0, normalize=normalize), planted)
    vectors = points(planted.embeddings.users, normalize)
    oracle = mixture.GaussianMixture(
        3,
        covariance_type="diag",
        reg_covar=0.01 * vectors.var(axis=0).mean(),
        random_state=as_seed(np.random.default_rng(0)),
        max_iter=300,
    ).fit(vectors)
    expected = oracle.predict_proba(vectors)
    assert expected.max(1).min() < 0.99
    np.testing.assert_allclose(segmenter.memberships.numpy(), expected, atol=1e-4)
    others = plant(seed=8, noise=0.8).embeddings.users
    expected = oracle.predict_proba(points(others, normalize))
    np.testing.assert_allclose(segmenter(others).numpy(), expected, atol=1e-4)


def test_mixture_raises_posteriors_to_the_inverse_temperature() -> None:
    planted = plant(noise=0.4)
    posteriors = fit(GaussianMixture(num_segments=3, temperature=1.0), planted)(planted.embeddings.users)
    warm = fit(GaussianMixture(num_segments=3, temperature=4.0), planted).memberships
    raised = posteriors.double() ** 0.25
    torch.testing.assert_close(warm.double(), raised / raised.sum(1, keepdim=True), atol=1e-4, rtol=0)


def test_mixture_keeps_variances_off_zero() -> None:
    planted = plant(noise=0.0)
    segmenter = fit(GaussianMixture(num_segments=3, floor=0.5), planted)
    variance = points(planted.embeddings.users, True).var(axis=0).mean()
    np.testing.assert_allclose(segmenter.variances.numpy(), 0.5 * variance, rtol=1e-4)


def test_one_segment() -> None:
    segmenter = fit(OneSegment(), plant())
    assert torch.equal(segmenter.memberships, torch.ones(90, 1))
    assert torch.equal(segmenter(torch.randn(4, 8)), torch.ones(4, 1))
    assert segmenter.num_segments == 1


@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
def test_one_cluster(cls: type[KMeans | GaussianMixture]) -> None:
    assert torch.equal(fit(cls(num_segments=1), plant()).memberships, torch.ones(90, 1))


@pytest.mark.parametrize("cls", [KMeans, GaussianMixture])
@pytest.mark.parametrize(
    ("key", "value"), [("num_segments", 0), ("temperature", 0.0), ("temperature", float("inf"))]
)
def test_wrong_hyperparameters(cls: type[KMeans], key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{cls.__name__}: '{key}' .*got"):
        cls(**{key: value})
