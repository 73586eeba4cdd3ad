import importlib
from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from gnnseg import metrics
from gnnseg.errors import ConfigError
from gnnseg.metrics import ACCURACY, beyond_accuracy, gini, parse

properties = settings(deadline=None, max_examples=100)


@pytest.fixture(scope="session")
def pyg_metrics(pyg: ModuleType) -> ModuleType:
    return importlib.import_module("torch_geometric.metrics")


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, list[set[int]], int]:
    """Lists ``[n, k]`` of different items and what each user kept, at least one item, of ``num_items``."""
    num_items = draw(st.integers(2, 12))
    k = draw(st.integers(1, num_items))
    n = draw(st.integers(1, 5))
    everything = list(range(num_items))
    lists = [draw(st.permutations(everything))[:k] for _ in range(n)]
    kept = [draw(st.sets(st.sampled_from(everything), min_size=1)) for _ in range(n)]
    return np.array(lists), kept, num_items


def measure(name: str, lists: np.ndarray, kept: Sequence[set[int]]) -> np.ndarray:
    hits = np.array([[item in own for item in row] for row, own in zip(lists, kept, strict=True)])
    return ACCURACY[name](hits, np.array([len(own) for own in kept]))


def naive(name: str, row: Sequence[int], own: set[int]) -> float:
    """One list, one rank after the other."""
    k, found, gain, precisions, first = len(row), 0, 0.0, 0.0, 0
    for rank, item in enumerate(row, start=1):
        if item in own:
            found += 1
            gain += 1 / np.log2(rank + 1)
            precisions += found / rank
            first = first or rank
    best = min(k, len(own))
    return {
        "recall": found / len(own),
        "precision": found / k,
        "hit": float(found > 0),
        "ndcg": gain / sum(1 / np.log2(rank + 1) for rank in range(1, best + 1)),
        "mrr": 1 / first if first else 0.0,
        "map": precisions / best,
    }[name]


@pytest.mark.parametrize("name", sorted(ACCURACY))
@properties
@given(cases())
def test_against_one_list_after_the_other(name: str, case: tuple[np.ndarray, list[set[int]], int]) -> None:
    lists, kept, _ = case
    found = measure(name, lists, kept)
    assert found.dtype == np.float64
    assert ((found >= 0) & (found <= 1 + 1e-12)).all()
    expected = [naive(name, row.tolist(), own) for row, own in zip(lists, kept, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("recall", "LinkPredRecall"),
        ("precision", "LinkPredPrecision"),
        ("hit", "LinkPredHitRatio"),
        ("ndcg", "LinkPredNDCG"),
        ("mrr", "LinkPredMRR"),
        ("map", "LinkPredMAP"),
    ],
)
@properties
@given(cases())
def test_against_pyg(
    name: str, oracle: str, pyg_metrics: ModuleType, case: tuple[np.ndarray, list[set[int]], int]
) -> None:
    if not hasattr(pyg_metrics, oracle):
        pytest.skip(f"this version of PyTorch Geometric has no {oracle}")
    lists, kept, _ = case
    metric = getattr(pyg_metrics, oracle)(lists.shape[1])
    pairs = torch.tensor([(user, item) for user, own in enumerate(kept) for item in own]).T
    metric.update(torch.from_numpy(lists), pairs)
    assert measure(name, lists, kept).mean() == pytest.approx(float(metric.compute()), abs=1e-6)


@properties
@given(cases())
def test_ndcg_against_scikit_learn(case: tuple[np.ndarray, list[set[int]], int]) -> None:
    lists, kept, num_items = case
    n, k = lists.shape
    truth, scores = np.zeros((n, num_items)), np.zeros((n, num_items))
    for user, (row, own) in enumerate(zip(lists, kept, strict=True)):
        truth[user, list(own)] = 1
        scores[user, row] = np.arange(k, 0, -1)
    # the items past k have one score together, but ranks past k do not count
    expected = ndcg_score(truth, scores, k=k, ignore_ties=True)
    assert measure("ndcg", lists, kept).mean() == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(ACCURACY))
def test_best_and_worst(name: str) -> None:
    relevant = np.array([3, 3])
    hits = np.array([[True, True, True], [False, False, False]])
    assert ACCURACY[name](hits, relevant).tolist() == [1, 0]


def test_all_metrics_have_a_test_here() -> None:
    assert sorted(ACCURACY) == ["hit", "map", "mrr", "ndcg", "precision", "recall"]
    assert all(getattr(metrics, name) is function for name, function in ACCURACY.items())


@pytest.mark.parametrize(
    ("name", "expected"), [("ndcg@10", ("ndcg", 10)), ("recall@1", ("recall", 1)), ("hit@05", ("hit", 5))]
)
def test_parse(name: str, expected: tuple[str, int]) -> None:
    assert parse(name) == expected


@pytest.mark.parametrize("name", ["ndgc@10", "NDCG@10"])
def test_parse_names_the_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown metric '{name[:4]}'; did you mean 'ndcg'\? .*ndcg@10"):
        parse(name)


@pytest.mark.parametrize("name", ["", "@10", "xyzzy@3"])
def test_parse_of_what_is_like_nothing(name: str) -> None:
    with pytest.raises(ConfigError, match=r"known: hit, map, mrr, ndcg, precision, recall \(write name@k"):
        parse(name)


@pytest.mark.parametrize("cutoff", ["", "0", "-1", "1.5", "ten", "²", " 3", "1@2"])
def test_parse_of_a_wrong_cutoff(cutoff: str) -> None:
    with pytest.raises(ConfigError, match="the cut-off after '@' must be a positive integer") as caught:
        parse(f"recall@{cutoff}")
    assert f"got {cutoff!r}" in str(caught.value)


def naive_gini(values: Sequence[float]) -> float:
    """Half the mean difference of all pairs, over the mean."""
    pairs = [abs(a - b) for a in values for b in values]
    mean = sum(values) / len(values)
    return sum(pairs) / len(values) ** 2 / (2 * mean) if mean else 0.0


@properties
@given(st.lists(st.floats(0, 1000), min_size=1, max_size=20))
def test_gini(values: list[float]) -> None:
    assert gini(np.array(values)) == pytest.approx(naive_gini(values), abs=1e-9)


def test_gini_at_the_ends() -> None:
    assert gini(np.ones(7)) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 9.0])) == pytest.approx(0.75)
    assert gini(np.zeros(3)) == 0


@properties
@given(cases(), st.integers(0, 9))
def test_beyond_accuracy(case: tuple[np.ndarray, list[set[int]], int], seed: int) -> None:
    lists, _, num_items = case
    rng = np.random.default_rng(seed)
    popularity = rng.integers(0, 6, num_items)
    features = rng.standard_normal((num_items, 4))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    found = beyond_accuracy(lists, popularity, features)
    shown = [item for row in lists.tolist() for item in row]
    total = max(1, popularity.sum())
    assert found["coverage"] == pytest.approx(len(set(shown)) / num_items)
    assert found["gini"] == pytest.approx(naive_gini([shown.count(i) for i in range(num_items)]), abs=1e-9)
    assert found["popularity"] == pytest.approx(np.mean([popularity[i] for i in shown]))
    bits = [-np.log2(max(1, popularity[i]) / total) for i in shown]
    assert found["novelty"] == pytest.approx(np.mean(bits), abs=1e-9)
    if lists.shape[1] == 1:
        assert "diversity" not in found
        return
    distances = [
        1 - features[a] @ features[b] for row in lists for i, a in enumerate(row) for b in row[i + 1 :]
    ]
    assert found["diversity"] == pytest.approx(np.mean(distances), abs=1e-9)


def test_diversity_of_many_users_is_the_mean_over_all() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((30, 4))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    lists = np.stack([rng.permutation(30)[:5] for _ in range(1300)])
    similarity = features @ features.T
    pairs = [similarity[np.ix_(row, row)][~np.eye(5, dtype=bool)].mean() for row in lists]
    found = beyond_accuracy(lists, np.ones(30, dtype=np.int64), features)["diversity"]
    assert found == pytest.approx(1 - np.mean(pairs), abs=1e-4)


def test_beyond_accuracy_by_hand() -> None:
    lists, popularity = np.array([[0, 1], [0, 2]]), np.array([4, 2, 1, 1])
    found = beyond_accuracy(lists, popularity, np.array([[1.0, 0], [0, 1.0], [0.6, 0.8], [1.0, 0]]))
    assert found == {
        "coverage": 0.75,
        "gini": pytest.approx(0.375),  # shown 2, 1, 1 and 0 times
        "popularity": pytest.approx((4 + 2 + 4 + 1) / 4),
        "novelty": pytest.approx((1 + 2 + 1 + 3) / 4),
        "diversity": pytest.approx((1 + 0.4) / 2),
    }


def test_novelty_of_one_interaction_in_all_is_no_surprise() -> None:
    assert beyond_accuracy(np.array([[1]]), np.array([0, 1]))["novelty"] == 0
    assert beyond_accuracy(np.array([[1]]), np.array([0, 0]))["novelty"] == 0


def test_no_features_no_diversity() -> None:
    assert set(beyond_accuracy(np.array([[0, 1]]), np.array([1, 2]))) == {
        "coverage",
        "gini",
        "popularity",
        "novelty",
    }
