from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sknetwork.clustering import get_modularity
from sknetwork.utils import bipartite2directed

from gnnseg.graph import BipartiteGraph
from gnnseg.segments import Consensus, KMeans, OneSegment, Segmenter
from gnnseg.segments import quality as measures
from gnnseg.segments.quality import (
    entropy_values,
    modularity,
    modularity_values,
    quality,
    rand_values,
    refits,
    silhouette,
    sizes,
)
from gnnseg.statistics import Interval
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


def test_modularity_without_links_or_segments() -> None:
    assert modularity(graph_of(np.zeros((3, 2))), np.zeros(3, dtype=np.int64)) is None
    assert modularity(graph_of(np.ones((3, 2))), np.full(3, -1)) is None


def test_users_outside_are_communities_of_their_own() -> None:
    planted = plant(outside=0.1)
    labels = np.where(np.arange(90) % 5 == 0, -1, planted.groups)
    alone = np.where(labels < 0, 10 + np.arange(90), labels)
    links = planted.graph.biadjacency().toarray()
    items = np.array(
        [np.bincount(labels[(column > 0) & (labels >= 0)], minlength=3).argmax() for column in links.T]
    )
    assert modularity(planted.graph, labels) == pytest.approx(barber(planted.graph, alone, items), abs=1e-9)
    inside = labels >= 0
    directions = torch.nn.functional.normalize(planted.embeddings.users).numpy()
    found = silhouette(planted.embeddings, labels, np.random.default_rng(0))
    assert found == pytest.approx(silhouette_score(directions[inside], labels[inside]), abs=1e-5)


def test_an_item_that_nobody_inside_has_is_in_no_segment() -> None:
    links = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    # half of the links in one community of half of the links on either side
    assert modularity(graph_of(links), np.array([0, 0, -1, -1])) == pytest.approx(0.5 - 0.25)


@pytest.mark.parametrize("seed", range(3))
def test_modularity_by_user_is_its_derivative(seed: int) -> None:
    """A user that weighs more is a user whose links are all repeated, items' segments as they are."""
    rng = np.random.default_rng(seed)
    links = (rng.random((12, 9)) < 0.4).astype(np.float64)
    labels = rng.integers(-1, 3, size=12)
    counts = np.stack([links[labels == s].sum(0) for s in range(3)])
    items = np.where(counts.any(0), counts.argmax(0), -2)
    same = (labels[:, None] == items) & (labels >= 0)[:, None]

    def weighted(weights: np.ndarray) -> float:
        mass = links * weights[:, None]
        expected = np.outer(mass.sum(1), mass.sum(0)) / mass.sum()
        return float(((mass - expected) * same).sum() / mass.sum())

    step = 1e-5
    slopes = [(weighted(1 + step * e) - weighted(1 - step * e)) / (2 * step) for e in np.eye(12)]
    found = modularity_values(graph_of(links), labels)
    assert found is not None
    np.testing.assert_allclose(found, weighted(np.ones(12)) + 12 * np.array(slopes), atol=1e-7)


partitions = st.integers(3, 30).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(-1, 4), min_size=n, max_size=n) for _ in range(2)))
)


@settings(max_examples=40, deadline=None)
@given(partitions)
def test_rand_index_and_its_jackknife(drawn: tuple[list[int], list[int]]) -> None:
    first, second = map(np.array, drawn)
    found = rand_values([first, second])
    assert found is not None
    index = adjusted_rand_score(first, second)
    assert found.mean() == pytest.approx(index, abs=1e-9)
    size = len(first)
    without = np.array([adjusted_rand_score(np.delete(first, u), np.delete(second, u)) for u in range(size)])
    np.testing.assert_allclose(found, index + (size - 1) * (without.mean() - without), atol=1e-9)


def test_rand_index_needs_two_partitions() -> None:
    assert rand_values([]) is None
    assert rand_values([np.zeros(3, dtype=int)]) is None


@pytest.mark.parametrize("counts", [[5, 5, 5], [9, 1, 5], [15, 0, 0]])
def test_entropy(counts: list[int]) -> None:
    labels = np.append(np.repeat(np.arange(3), counts), [-1, -1])
    found = entropy_values(labels, 3)
    assert found is not None
    assert len(found) == 15
    assert found.mean() == pytest.approx(entropy(counts) / np.log(3))


def test_entropy_is_not_defined() -> None:
    assert entropy_values(np.zeros(4, dtype=int), 1) is None
    assert entropy_values(np.full(4, -1), 3) is None


def test_refits_and_stability() -> None:
    noise = plant(noise=100.0)
    fits = [fit(KMeans(num_starts=1), noise, seed).labels.numpy() for seed in range(3)]
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    again = refits(lambda: KMeans(num_starts=1), noise.graph, noise.embeddings, rngs)
    assert all(np.array_equal(a, b) for a, b in zip(fits, again, strict=True))
    expected = np.mean([adjusted_rand_score(fits[a], fits[b]) for a, b in ((0, 1), (0, 2), (1, 2))])
    found = measure(fit(KMeans(num_starts=1), noise), noise, fits)["stability"]
    assert found is not None
    assert found.mean == pytest.approx(expected)
    assert found.mean < 0.5


def measure(
    segmenter: Segmenter, planted: Planted, fits: Sequence[np.ndarray] = ()
) -> dict[str, Interval | None]:
    return quality(segmenter, planted.graph, planted.embeddings, np.random.default_rng(0), fits)


def test_quality_of_planted_segments() -> None:
    planted = plant()
    views = ["Leiden", {"name": "KMeans", "num_segments": 3}]
    segmenter = fit(Consensus(views=views, num_segments=3), planted)
    found = measure(segmenter, planted)
    assert mean(found["modularity"]) == pytest.approx(modularity(planted.graph, planted.groups))
    assert mean(found["silhouette"]) > 0.5
    assert mean(found["agreement"]) == 1
    assert mean(found["sharpness"]) == pytest.approx(segmenter.memberships.max(1).values.mean().item())
    assert sum(sizes(segmenter)) == 90
    assert sorted(sizes(segmenter)) == sorted(np.bincount(planted.groups))


def test_agreement_of_three_views_is_the_mean_over_pairs() -> None:
    planted = plant(noise=0.9)
    views = ["Leiden", {"name": "KMeans", "num_segments": 3}, {"name": "KMeans", "num_segments": 5}]
    segmenter = fit(Consensus(views=views), planted)
    labels = [view.labels.numpy() for view in segmenter.members]
    expected = np.mean([adjusted_rand_score(labels[a], labels[b]) for a, b in ((0, 1), (0, 2), (1, 2))])
    found = measure(segmenter, planted)
    assert mean(found["agreement"]) == pytest.approx(expected)


def mean(interval: Interval | None) -> float:
    assert interval is not None
    assert interval.low <= interval.mean <= interval.high <= 1
    return interval.mean


def test_what_is_not_defined_is_none() -> None:
    planted = plant()
    found = measure(fit(OneSegment(), planted), planted)
    assert {name for name, interval in found.items() if interval is None} == {
        "silhouette",
        "agreement",
        "stability",
        "entropy",
    }
    assert mean(found["modularity"]) == pytest.approx(0)
    assert mean(found["sharpness"]) == 1


class Outside(Segmenter):
    """Every fifth user is outside; the first of the others is in segment 0, all others in 1."""

    def __init__(self, share: float = 0.8) -> None:
        super().__init__()
        table = torch.tensor([1 - share, share]).repeat(90, 1)
        table[1] = torch.tensor([share, 1 - share])
        table[::5] = 0
        self.learned(memberships=table)

    def fit(self, graph: object, embeddings: object, rng: object) -> "Outside":
        return self

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        return users

    @property
    def labels(self) -> torch.Tensor:
        return torch.where(self.memberships.sum(1) > 0, self.memberships.argmax(1), -1)


def test_users_outside_do_not_count() -> None:
    found = measure(Outside(), plant())
    assert mean(found["sharpness"]) == pytest.approx(0.8)
    assert mean(found["entropy"]) == pytest.approx(entropy([1, 71]) / np.log(2))
    assert sizes(Outside()) == [1, 71]


def test_nobody_is_inside() -> None:
    nobody = Outside()
    nobody.learned(memberships=torch.zeros(90, 2))
    assert set(measure(nobody, plant()).values()) == {None}
    assert sizes(nobody) == [0, 0]


def test_intervals_cover() -> None:
    """Of 60 draws of users, nine in ten intervals or more hold the share that they were drawn from."""
    truth = entropy([0.2, 0.8]) / np.log(2)
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        segmenter = Outside()
        labels = (rng.random(90) < 0.2).astype(int)
        segmenter.learned(memberships=torch.eye(2)[labels])
        found = quality(segmenter, plant().graph, plant().embeddings, rng)["entropy"]
        assert found is not None
        hits += found.low <= truth <= found.high
    assert hits >= 54


def test_intervals_of_many_users_are_the_normal_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant(noise=0.5)
    segmenter = fit(KMeans(num_segments=3), planted)
    few = measure(segmenter, planted)
    monkeypatch.setattr(measures, "MAX_BOOTSTRAP_USERS", 80)
    many = measure(segmenter, planted)
    for name in ("modularity", "silhouette", "sharpness"):
        a, b = few[name], many[name]
        assert a is not None
        assert b is not None
        assert a.mean == b.mean
        assert a.low != b.low
        assert b.low == pytest.approx(a.low, abs=0.15 * (a.high - a.low))
        assert b.high == pytest.approx(a.high, abs=0.15 * (a.high - a.low))


def test_sizes_count_empty_segments() -> None:
    segmenter = fit(
        OneSegment(), Planted(graph_of(np.ones((4, 2))), embeddings_of(np.ones((4, 3))), np.zeros(4))
    )
    segmenter.learned(memberships=torch.tensor([[0.2, 0.8, 0.0], [0.0, 1.0, 0.0], [0.6, 0.4, 0.0]]))
    assert sizes(segmenter) == [1, 2, 0]
