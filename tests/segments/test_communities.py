import networkx as nx
import numpy as np
import pytest
import torch
from networkx.algorithms import community
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import NearestNeighbors

from gnnseg.errors import ConfigError
from gnnseg.segments import SEGMENTERS, Leiden, Louvain
from gnnseg.segments.communities import Communities, nearest_users
from gnnseg.segments.quality import modularity
from tests.segments.planted import Planted, embeddings_of, fit, graph_of, plant

BOTH = pytest.mark.parametrize("cls", [Louvain, Leiden])


def agreement(segmenter: Communities, planted: Planted) -> float:
    return adjusted_rand_score(segmenter.labels.numpy(), planted.groups)


@BOTH
@pytest.mark.parametrize("groups", [2, 5])
@pytest.mark.parametrize("on", ["bipartite", "users"])
def test_planted_blocks(cls: type[Communities], groups: int, on: str) -> None:
    planted = plant(users=150, items=100, groups=groups, noise=5.0)
    assert agreement(fit(cls(on=on), planted), planted) > 0.95


@pytest.mark.parametrize("on", ["bipartite", "users"])
def test_planted_blocks_by_networkx(on: str) -> None:
    planted = plant()
    segmenter = fit(Louvain(library="networkx", on=on), planted)
    assert agreement(segmenter, planted) == 1
    reference = fit(Louvain(on=on), planted)
    assert adjusted_rand_score(segmenter.labels.numpy(), reference.labels.numpy()) == 1


@BOTH
def test_modularity_is_as_high_as_networkx_finds(cls: type[Communities]) -> None:
    planted = plant(users=120, items=80, groups=5, inside=0.4, outside=0.05)
    found = community.louvain_communities(planted.graph.to_networkx(), seed=0)
    labels = np.empty(planted.graph.num_nodes, dtype=np.int64)
    for label, members in enumerate(found):
        labels[list(members)] = label
    oracle = modularity(planted.graph, labels[:120])
    assert oracle > 0.2
    assert modularity(planted.graph, fit(cls(min_users=1), planted).labels.numpy()) > oracle - 0.02


def test_networkx_gets_the_whole_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant()
    given: list[nx.Graph] = []

    def halves(
        self: Louvain, graph: nx.Graph, seed: int, resolution: float, backend: str | None
    ) -> list[set[int]]:
        given.append(graph)
        assert backend is None
        return [set(range(0, 150, 2)), set(range(1, 150, 2))]

    monkeypatch.setattr(Louvain, "_networkx", halves)
    segmenter = fit(Louvain(library="networkx"), planted)
    assert nx.utils.graphs_equal(nx.Graph(given[0].edges()), nx.Graph(planted.graph.to_networkx().edges()))
    links = planted.graph.biadjacency().toarray()
    even = links[:, ::2].sum(1) / links.sum(1)
    torch.testing.assert_close(segmenter.memberships, torch.tensor(np.stack([even, 1 - even], 1)).float())


def shares(links: np.ndarray, targets: np.ndarray, kept: list[int]) -> np.ndarray:
    """Of each user's links into kept communities, the share that leads into each."""
    counts = np.zeros((len(links), len(kept)))
    for user, row in enumerate(links):
        for target, weight in enumerate(row):
            if targets[target] in kept:
                counts[user, kept.index(targets[target])] += weight
    return counts / counts.sum(1, keepdims=True)


@BOTH
@pytest.mark.parametrize("on", ["bipartite", "users"])
def test_memberships_are_shares_of_links(
    cls: type[Communities], on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = plant(inside=0.4, outside=0.1)
    rng = np.random.default_rng(5)
    users = np.repeat([7, 2, 4], [20, 40, 30])
    targets = users if on == "users" else rng.choice([7, 2, 4], size=60)
    monkeypatch.setattr(Communities, "_labels", lambda self, links, seed: (users, targets))
    segmenter = fit(cls(on=on), planted)
    graph = planted.graph
    links = (graph.biadjacency() if on == "bipartite" else nearest_users(graph, 20)).toarray()
    expected = shares(links, targets, [2, 4, 7])
    np.testing.assert_allclose(segmenter.memberships.numpy(), expected, atol=1e-6)


def test_small_communities_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant(outside=0.2)
    users = np.repeat([0, 1, 2], [9, 51, 30])
    targets = np.arange(60) % 3
    monkeypatch.setattr(Communities, "_labels", lambda self, links, seed: (users, targets))
    links = planted.graph.biadjacency().toarray()
    for least, kept in ((9, [1, 2, 0]), (10, [1, 2]), (31, [1]), (52, [1])):
        segmenter = fit(Louvain(min_users=least), planted)
        np.testing.assert_allclose(segmenter.memberships.numpy(), shares(links, targets, kept), atol=1e-6)


def test_small_blocks_are_left_out() -> None:
    links = np.zeros((30, 12))
    links[:14, :5], links[14:27, 5:9], links[27:, 9:] = 1, 1, 1
    vectors = np.repeat(np.eye(3), [14, 13, 3], axis=0)
    vectors[27:] = [0.6, 0.8, 0]
    planted = Planted(graph_of(links), embeddings_of(vectors), np.repeat([0, 1, 1], [14, 13, 3]))
    segmenter = fit(Leiden(), planted)
    assert segmenter.num_segments == 2
    torch.testing.assert_close(segmenter.memberships[:14], torch.tensor([[1.0, 0.0]]).expand(14, -1))
    torch.testing.assert_close(segmenter.memberships[14:27], torch.tensor([[0.0, 1.0]]).expand(13, -1))
    # all links of the last three lead into the small block, so their vectors say where they belong
    torch.testing.assert_close(segmenter.memberships[27:], segmenter(planted.embeddings.users[27:]))
    assert segmenter.labels[27:].tolist() == [1, 1, 1]
    assert fit(Leiden(min_users=1), planted).num_segments == 3


@BOTH
def test_more_resolution_gives_more_communities(cls: type[Communities]) -> None:
    planted = plant(users=120, items=80, groups=6, outside=0.1)
    found = [fit(cls(resolution=r, min_users=1), planted).num_segments for r in (0.3, 1.0, 4.0)]
    assert found[0] < found[1] < found[2]


def test_vectors_are_assigned_by_the_distance_to_mean_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant(noise=0.5)
    rows = np.repeat([0, 1], 45)
    monkeypatch.setattr(Communities, "_labels", lambda self, links, seed: (rows, np.arange(60) % 2))
    segmenter = fit(Louvain(temperature=0.5), planted)
    users = planted.embeddings.users.numpy().astype(np.float64)
    directions = users / np.linalg.norm(users, axis=1, keepdims=True)
    labels = segmenter.labels.numpy()
    centres = np.stack([directions[labels == s].mean(0) for s in (0, 1)])
    width = 0.5 * ((directions - centres[labels]) ** 2).sum(1).mean()
    logits = -((directions[:, None] - centres) ** 2).sum(-1) / width
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(segmenter(planted.embeddings.users).numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(segmenter(3 * planted.embeddings.users).numpy(), expected, atol=1e-5)


@BOTH
@pytest.mark.parametrize("library", ["igraph", "networkx:", "networkxx", "scikit-network:gpu", ""])
def test_unknown_library(cls: type[Communities], library: str) -> None:
    with pytest.raises(
        ConfigError, match=r"'library' must be scikit-network, networkit or networkx\[:backend\] \(got '.*'\)"
    ):
        cls(library=library)


def test_leiden_is_not_in_networkx_itself() -> None:
    with pytest.raises(ConfigError, match="Leiden needs 'library: scikit-network' or a networkx backend"):
        Leiden(library="networkx")


@BOTH
def test_backend_that_is_not_installed(cls: type[Communities]) -> None:
    with pytest.raises(
        ConfigError, match=f"{cls.__name__}: library 'networkx:nowhere' cannot be used: .*not installed"
    ) as caught:
        fit(cls(library="networkx:nowhere"), plant())
    assert "\n" not in str(caught.value)


def test_backend_without_leiden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "networkx.algorithms.community.leiden_communities",
        lambda graph, **options: (
            community.louvain_communities(graph, seed=options["seed"])
            if options["backend"] == "has"
            else _not_implemented()
        ),
    )
    planted = plant()
    assert agreement(fit(Leiden(library="networkx:has"), planted), planted) == 1
    with pytest.raises(ConfigError, match="Leiden: library 'networkx:lacks' cannot be used: no such"):
        fit(Leiden(library="networkx:lacks"), planted)


def _not_implemented() -> None:
    raise NotImplementedError("no such algorithm")


@BOTH
@pytest.mark.parametrize(
    ("key", "value"), [("resolution", 0), ("on", "items"), ("num_neighbors", 0), ("min_users", 0)]
)
def test_wrong_hyperparameters(cls: type[Communities], key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"'{key}'"):
        SEGMENTERS.create({"name": cls.__name__, key: value})
    with pytest.raises(ConfigError, match=f"'{key}'"):
        cls(**{key: value})


def distinct(seed: int) -> np.ndarray:
    """Links whose users have no two equal similarities to another."""
    rng = np.random.default_rng(seed)
    return rng.random((40, 400)) < rng.uniform(0.1, 0.5, size=(40, 1))


@pytest.mark.parametrize("block", [1, 7, 40, 1024])
def test_nearest_users_by_brute_force(block: int) -> None:
    links = distinct(3).astype(np.float32)
    found = nearest_users(graph_of(links), 5, block=block)
    distances, places = NearestNeighbors(n_neighbors=6, metric="cosine").fit(links).kneighbors(links)
    expected = np.zeros((40, 40))
    for user in range(40):
        others = [(d, v) for d, v in zip(distances[user], places[user], strict=True) if v != user]
        for distance, other in others[:5]:
            expected[user, other] = expected[other, user] = 1 - distance
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-5)


def test_nearest_users_of_users_without_items() -> None:
    links = distinct(4)
    links[[2, 9]] = False
    found = nearest_users(graph_of(links), 3).toarray()
    assert not found[[2, 9]].any()
    assert not found[:, [2, 9]].any()
    assert (np.delete(found, [2, 9], axis=0) > 0).sum(1).min() >= 3


def test_users_who_share_nothing() -> None:
    planted = Planted(graph_of(np.eye(12)), embeddings_of(np.eye(12)), np.zeros(12))
    assert nearest_users(planted.graph, 3).nnz == 0
    for library in ("scikit-network", "networkx"):
        segmenter = fit(Louvain(on="users", library=library), planted)
        assert torch.equal(segmenter.memberships, torch.ones(12, 1))
