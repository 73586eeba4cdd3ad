import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from gnnseg.errors import ConfigError, NotFittedError
from gnnseg.segments import SEGMENTERS, Leiden, Louvain
from gnnseg.segments.modular import Modular
from tests.segments.planted import Planted, embeddings_of, fit, graph_of

BOTH = pytest.mark.parametrize("cls", [Louvain, Leiden])


def nested(seed: int = 0) -> tuple[Planted, np.ndarray]:
    """Nine groups in three of three: links are dense in a group, fewer in its three, few elsewhere."""
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(np.arange(180) % 9), np.arange(135) % 9
    chance = np.where(users[:, None] // 3 == items // 3, 0.15, 0.01)
    chance[users[:, None] == items] = 0.7
    vectors = np.eye(9)[users] + 0.1 * rng.standard_normal((180, 9))
    planted = Planted(graph_of(rng.random(chance.shape) < chance), embeddings_of(vectors), users)
    return planted, users // 3


def levels(cls: type[Modular], **given: object) -> Modular:
    return cls(resolution=3.0, coarser=[0.7, 0.01], **given)


@BOTH
@pytest.mark.parametrize("on", ["bipartite", "users"])
def test_levels_of_planted_groups(cls: type[Modular], on: str) -> None:
    planted, above = nested()
    # nearest users must reach beyond the 20 of a group
    segmenter = fit(levels(cls, on=on, num_neighbors=50), planted)
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95
    assert adjusted_rand_score(segmenter.at(1).argmax(1).numpy(), above) > 0.95
    assert segmenter.at(2).shape == (180, 1)


def test_levels_by_networkx() -> None:
    planted, above = nested()
    segmenter = fit(levels(Louvain, library="networkx"), planted)
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95
    assert adjusted_rand_score(segmenter.at(1).argmax(1).numpy(), above) > 0.95


@BOTH
def test_levels_are_nested(cls: type[Modular]) -> None:
    planted, _ = nested()
    segmenter = fit(levels(cls), planted)
    for level in (1, 2):
        parents = segmenter.parents[level - 1].long()
        joined = segmenter.at(level)
        for community in range(joined.shape[1]):
            below = segmenter.at(0)[:, parents == community]
            torch.testing.assert_close(joined[:, community], below.sum(1))
        torch.testing.assert_close(joined.sum(1), torch.ones(180))


@BOTH
def test_a_coarser_level_is_served(cls: type[Modular]) -> None:
    planted, _ = nested()
    finest, served = fit(levels(cls), planted), fit(levels(cls, level=1), planted)
    assert served.num_segments == finest.at(1).shape[1]
    assert torch.equal(served.memberships, finest.at(1))
    assert torch.equal(served.at(0), finest.memberships)
    strangers = planted.embeddings.users[:7]
    torch.testing.assert_close(served(strangers), finest._joined(finest(strangers), 1))
    again = levels(cls, level=1)
    again.load_state_dict(served.state_dict())
    assert torch.equal(again.at(2), served.at(2))
    assert torch.equal(again(strangers), served(strangers))


def test_communities_among_communities_have_the_modularity_of_their_nodes() -> None:
    """A join of communities changes modularity as the same join of their nodes does."""
    planted, _ = nested()
    graph = planted.graph.to_networkx()
    communities = [{n for n in range(180) if planted.groups[n] == g} for g in range(9)]
    for item in range(135):
        communities[item % 9].add(180 + item)
    links = planted.graph.biadjacency().toarray()
    between = np.array(
        [[links[planted.groups == a][:, np.arange(135) % 9 == b].sum() for b in range(9)] for a in range(9)]
    )
    both = between + between.T - np.diag(np.diag(between))
    joined = [{0, 1, 2}, {3, 4, 5}, {6, 7, 8}]
    expected = nx.community.modularity(graph, [set.union(*(communities[c] for c in j)) for j in joined])
    assert nx.community.modularity(nx.from_numpy_array(both), joined) == pytest.approx(expected)


@BOTH
def test_without_links_levels_are_one_community(cls: type[Modular]) -> None:
    planted, _ = nested()
    empty = Planted(graph_of(np.zeros((180, 135))), planted.embeddings, planted.groups)
    segmenter = fit(levels(cls, level=2), empty)
    assert torch.equal(segmenter.memberships, torch.ones(180, 1))


@BOTH
@pytest.mark.parametrize("coarser", [[1.0], [0.5, 0.6], [2.0]])
def test_resolutions_that_do_not_fall(cls: type[Modular], coarser: list[float]) -> None:
    with pytest.raises(
        ConfigError, match=r"'coarser' must hold resolutions that fall from 'resolution' 1 on"
    ):
        cls(coarser=coarser)


@BOTH
def test_levels_that_are_not_there(cls: type[Modular]) -> None:
    with pytest.raises(ConfigError, match=r"'level' must be at most the number of 'coarser' 1 \(got 2\)"):
        cls(coarser=[0.5], level=2)
    segmenter = cls(coarser=[0.5])
    with pytest.raises(NotFittedError, match="call fit first"):
        segmenter.at(0)
    planted, _ = nested()
    for level in (-1, 2):
        with pytest.raises(ConfigError, match=rf"'level' must be from 0 to 1 \(got {level}\)"):
            fit(segmenter, planted).at(level)


def test_specs() -> None:
    assert SEGMENTERS.resolve({"name": "Leiden", "coarser": [0.5, 0.1]})["coarser"] == [0.5, 0.1]
    with pytest.raises(ConfigError, match="'coarser"):
        SEGMENTERS.resolve({"name": "Leiden", "coarser": [0.0]})
