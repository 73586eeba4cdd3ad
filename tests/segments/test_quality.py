import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sknetwork.clustering import get_modularity
from sknetwork.utils import bipartite2directed

from gnnseg.graph import BipartiteGraph
from gnnseg.segments import Consensus, KMeans, Leiden, OneSegment
from gnnseg.segments import quality as measures
from gnnseg.segments.quality import modularity, quality, silhouette, sizes, stability
from tests.segments.planted import Planted, embeddings_of, fit, graph_of, plant


def majority(graph: BipartiteGraph, labels: np.ndarray) -> np.ndarray:
    """The segment that most users of each item are in, the first of equals."""
    links = graph.biadjacency().toarray()
    return np.array([np.bincount(labels, column, labels.max() + 1).argmax() for column in links.T])


def barber(graph: BipartiteGraph, labels: np.ndarray, item_labels: np.ndarray) -> float:
    """The definition, pair by pair."""
    links = graph.biadjacency().toarray().astype(np.float64)
    expected = np.outer(links.sum(1), links.sum(0)) / links.sum()
    same = labels[:, None] == item_labels
    return float(((links - expected) * same).sum() / links.sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_modularity(seed: int, groups: int) -> None:
    planted = plant(seed=seed, outside=0.1)
    labels = np.random.default_rng(seed).integers(groups, size=90)
    items = majority(planted.graph, labels)
    found = modularity(planted.graph, labels)
    assert found == pytest.approx(barber(planted.graph, labels, items), abs=1e-9)
    directed = bipartite2directed(planted.graph.biadjacency())
    assert found == pytest.approx(get_modularity(directed, np.concatenate([labels, items])), abs=1e-6)


def test_modularity_of_blocks() -> None:
    blocks = graph_of(np.kron(np.eye(4), np.ones((3, 2))))
    assert modularity(blocks, np.repeat(np.arange(4), 3)) == pytest.approx(0.75)
    assert modularity(blocks, np.zeros(12, dtype=np.int64)) == pytest.approx(0)


def test_modularity_where_a_segment_has_no_users() -> None:
    blocks = graph_of(np.kron(np.eye(2), np.ones((3, 2))))
    assert modularity(blocks, np.array([0, 0, 0, 5, 5, 5])) == pytest.approx(0.5)


def test_silhouette() -> None:
    planted = plant(noise=0.5)
    users = planted.embeddings.users.numpy()
    directions = users / np.linalg.norm(users, axis=1, keepdims=True)
    oracle = silhouette_score(directions, planted.groups)
    found = silhouette(planted.embeddings, planted.groups, np.random.default_rng(0))
    assert found == pytest.approx(oracle, abs=1e-5)


def test_silhouette_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "MAX_SILHOUETTE_USERS", 60)
    planted = plant(noise=0.5)
    exact = silhouette_score(torch.nn.functional.normalize(planted.embeddings.users), planted.groups)
    found = silhouette(planted.embeddings, planted.groups, np.random.default_rng(0))
    assert found != pytest.approx(exact, abs=1e-6)
    assert found == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize("labels", [np.zeros(90, dtype=int), np.arange(90)])
def test_silhouette_is_not_defined(labels: np.ndarray) -> None:
    assert silhouette(plant().embeddings, labels, np.random.default_rng(0)) is None


def test_stability() -> None:
    planted = plant()
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    assert stability(lambda: Leiden(), planted.graph, planted.embeddings, rngs) == 1
    assert stability(lambda: Leiden(), planted.graph, planted.embeddings, rngs[:1]) is None


def test_stability_is_the_mean_over_pairs() -> None:
    noise = plant(noise=100.0)
    fits = [fit(KMeans(num_starts=1), noise, seed).labels.numpy() for seed in range(3)]
    expected = np.mean([adjusted_rand_score(fits[a], fits[b]) for a, b in ((0, 1), (0, 2), (1, 2))])
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    found = stability(lambda: KMeans(num_starts=1), noise.graph, noise.embeddings, rngs)
    assert found == pytest.approx(expected)
    assert found < 0.5


def test_quality_of_planted_segments() -> None:
    planted = plant()
    views = ["Leiden", {"name": "KMeans", "num_segments": 3}]
    segmenter = fit(Consensus(views=views, num_segments=3), planted)
    found = quality(segmenter, planted.graph, planted.embeddings, np.random.default_rng(0))
    assert found["modularity"] == pytest.approx(modularity(planted.graph, planted.groups))
    assert found["silhouette"] > 0.5
    assert found["agreement"] == 1
    assert found["sharpness"] == pytest.approx(segmenter.memberships.max(1).values.mean().item())
    assert sum(sizes(segmenter)) == 90
    assert sorted(sizes(segmenter)) == sorted(np.bincount(planted.groups))


def test_agreement_of_three_views_is_the_mean_over_pairs() -> None:
    planted = plant(noise=0.9)
    views = ["Leiden", {"name": "KMeans", "num_segments": 3}, {"name": "KMeans", "num_segments": 5}]
    segmenter = fit(Consensus(views=views), planted)
    labels = [view.labels.numpy() for view in segmenter.members]
    expected = np.mean([adjusted_rand_score(labels[a], labels[b]) for a, b in ((0, 1), (0, 2), (1, 2))])
    found = quality(segmenter, planted.graph, planted.embeddings, np.random.default_rng(0))
    assert found["agreement"] == pytest.approx(expected)


def test_what_is_not_defined_is_none() -> None:
    planted = plant()
    found = quality(fit(OneSegment(), planted), planted.graph, planted.embeddings, np.random.default_rng(0))
    assert found == {"modularity": pytest.approx(0), "silhouette": None, "agreement": None, "sharpness": 1}


def test_sizes_count_empty_segments() -> None:
    segmenter = fit(
        OneSegment(), Planted(graph_of(np.ones((4, 2))), embeddings_of(np.ones((4, 3))), np.zeros(4))
    )
    segmenter.learned(memberships=torch.tensor([[0.2, 0.8, 0.0], [0.0, 1.0, 0.0], [0.6, 0.4, 0.0]]))
    assert sizes(segmenter) == [1, 2, 0]
