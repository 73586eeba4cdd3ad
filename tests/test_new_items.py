import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from gnnseg.data import Interactions
from gnnseg.errors import ConfigError
from gnnseg.evaluation import evaluate_cold_items
from gnnseg.new_items import ContentKNN, TextRidge
from gnnseg.scoring import Among, Constant, DotProduct

rng = np.random.default_rng(0)
WARM, COLD = rng.normal(size=(12, 5)), rng.normal(size=(4, 5))
FEATURES = np.concatenate([WARM, COLD])
LINKS = np.maximum(rng.random((6, 12)) < 0.5, np.tile(np.eye(6), 2))  # no warm item without a user
TRAIN = sp.csr_matrix(np.pad(LINKS, ((0, 0), (0, 4))).astype(np.float32))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("power", [1, 3])
def test_ridge_is_that_of_scikit_learn(power: int) -> None:
    values = rng.normal(size=(12, 3))
    own = np.maximum(unit(WARM) @ unit(WARM).T, 0) ** power
    between = np.maximum(unit(COLD) @ unit(WARM).T, 0) ** power
    expected = KernelRidge(alpha=0.5, kernel="precomputed").fit(own, values).predict(between)
    weights = TextRidge(regularization=0.5, power=power, of_graph=0.0).weights(WARM, COLD, TRAIN[:, :12])
    np.testing.assert_allclose((values.T @ weights).T, expected, atol=1e-10)


def test_the_mapped_kernel_is_a_ridge_regression_of_singular_vectors() -> None:
    users, items = LINKS.sum(1, keepdims=True), LINKS.sum(0)
    _, scale, vectors = np.linalg.svd(LINKS / np.sqrt(users * items), full_matrices=False)
    table = (scale[:4, None] * vectors[:4]).T
    mapped = Ridge(alpha=2.0).fit(WARM, table)
    near, far = (unit(mapped.predict(x) - table.mean(0)) for x in (WARM, COLD))
    own = np.maximum(unit(WARM) @ unit(WARM).T, 0) + 0.7 * np.maximum(near @ near.T, 0)
    between = np.maximum(unit(WARM) @ unit(COLD).T, 0) + 0.7 * np.maximum(near @ far.T, 0)
    found = TextRidge(regularization=0.5, power=1, of_graph=0.7, dim=4, ridge=2.0)
    expected = np.linalg.solve(own + 0.5 * np.eye(12), between)
    np.testing.assert_allclose(found.weights(WARM, COLD, TRAIN[:, :12]), expected, atol=1e-6)


def test_neighbours_are_those_of_scikit_learn() -> None:
    distances, rows = NearestNeighbors(n_neighbors=3, metric="cosine").fit(WARM).kneighbors(COLD)
    expected = np.zeros((12, 4))
    for item in range(4):
        expected[rows[item], item] = 1 - distances[item]
    np.testing.assert_allclose(
        ContentKNN(num_neighbors=3).weights(WARM, COLD, TRAIN[:, :12]), expected, atol=1e-12
    )


def test_more_neighbours_than_items_is_the_sum_of_similarities() -> None:
    found = ContentKNN(num_neighbors=99).weights(WARM, COLD, TRAIN[:, :12])
    np.testing.assert_allclose(found, unit(WARM) @ unit(COLD).T)


@pytest.mark.parametrize("cls", [ContentKNN, TextRidge])
def test_warm_scores_stay_and_cold_ones_follow_the_history(cls: type) -> None:
    whole = DotProduct(torch.randn(6, 3), torch.randn(16, 3))
    users = torch.arange(6)
    found = cls().extend(whole, TRAIN, FEATURES).score(users)
    assert torch.equal(found[:, :12], whole.score(users)[:, :12])
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[:, 12:], whole.score(users)[:, 12:])


def test_knn_scores_are_history_times_similarity() -> None:
    whole = Constant(torch.randn(16))
    found = ContentKNN(num_neighbors=4).extend(whole, TRAIN, FEATURES).score(torch.arange(6))[:, 12:]
    expected = TRAIN.toarray()[:, :12] @ ContentKNN(num_neighbors=4).weights(WARM, COLD, TRAIN[:, :12])
    for user in range(6):
        assert np.corrcoef(found[user].double().numpy(), expected[user])[0, 1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("cls", [ContentKNN, TextRidge])
def test_cold_items_have_their_place_in_spreads_of_the_warm_ones(cls: type) -> None:
    whole = DotProduct(3 * torch.randn(6, 3), torch.randn(16, 3) + 0.5)
    users = torch.arange(6)
    found = cls().extend(whole, TRAIN, FEATURES)
    warm, cold = whole.score(users)[:, :12], found.score(users)[:, 12:]
    mean, size = warm.mean(1, keepdim=True), warm.std(1, correction=0, keepdim=True)
    z = (cold - mean) / size
    assert float(z.mean()) == pytest.approx(0, abs=1e-5)
    assert 0.4 < float(z.std(correction=0)) <= 1 + 1e-5
    moved = (found.placed(2.0, 0.5).score(users)[:, 12:] - mean) / size
    torch.testing.assert_close(moved, 2 + 0.5 * z, atol=1e-4, rtol=1e-4)


def test_a_new_item_alone_is_told_from_none() -> None:
    whole = DotProduct(torch.randn(6, 3), torch.randn(13, 3))
    scores = TextRidge().extend(whole, TRAIN[:, :13], FEATURES[:13]).score(torch.arange(6))
    assert float(scores[:, 12].std()) > 0.01


def test_pairs_beyond_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnseg.new_items.MAX_PAIRS", 100)
    whole = Constant(torch.zeros(16))
    ContentKNN().extend(whole, TRAIN, FEATURES)
    with pytest.raises(ConfigError, match=r"TextRidge would hold 12 x 12 numbers .*use ContentKNN"):
        TextRidge().extend(whole, TRAIN, FEATURES)


def test_users_and_texts_of_zeros_give_no_nan() -> None:
    train, features = TRAIN.toarray(), FEATURES.copy()
    train[0] = 0
    features[[0, 13]] = 0
    whole = DotProduct(torch.zeros(6, 3), torch.zeros(16, 3))
    for cls in (ContentKNN, TextRidge):
        assert torch.isfinite(
            cls().extend(whole, sp.csr_matrix(train), features).score(torch.arange(6))
        ).all()


def test_no_cold_items() -> None:
    train = sp.csr_matrix(np.ones((2, 3), dtype=np.float32))
    whole = Constant(torch.arange(3.0))
    assert torch.equal(
        TextRidge().extend(whole, train, np.eye(3)).score(torch.arange(2)), whole.score(torch.arange(2))
    )


def test_among_ranks_nothing_else() -> None:
    scorer = Among(Constant(torch.tensor([1.0, 2.0, 3.0])), torch.tensor([True, False, True]))
    assert scorer.score(torch.arange(1)).tolist() == [[1.0, -torch.inf, 3.0]]


def test_cold_and_warm_are_evaluated_apart() -> None:
    train = sp.csr_matrix(np.array([[1, 0, 0, 0], [0, 1, 0, 0]], dtype=np.float32))
    held = Interactions(
        np.array([0, 1]), np.array([2, 0])
    )  # item 2 is cold, item 0 is not; 3 is not held out
    scorer = Constant(torch.tensor([4.0, 3.0, 1.0, 2.0]))
    found = evaluate_cold_items(scorer, held, train, train, ["hit@1"])
    assert {kind: one.means["hit@1"] for kind, one in found.items()} == {
        "cold": 1.0,
        "cold_in_all": 0.0,
        "warm": 1.0,
    }
    assert set(evaluate_cold_items(scorer, held[[1]], train, train, ["hit@1"])) == {"warm"}
