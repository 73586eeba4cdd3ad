import importlib.util
import io
import sys

import networkx as nx
import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from gnnseg.data import UserData
from gnnseg.errors import ConfigError, DataError
from gnnseg.segments import ByColumn, LabelPropagation, Leiden, Louvain, read_partition, write_partition
from gnnseg.segments.communities import Communities
from gnnseg.segments.networks import whole
from tests.graphs import random_graph
from tests.segments.planted import fit, plant

networkit = pytest.mark.skipif(
    importlib.util.find_spec("networkit") is None, reason="networkit is not installed (extra 'networkit')"
)
MEMBERSHIPS = torch.tensor([[0.25, 0.75], [0.0, 0.0], [1.0, 0.0]])


def test_a_partition_written_and_read() -> None:
    graph = random_graph(3, 4)
    network = graph.to_networkx()
    write_partition(network, MEMBERSHIPS)
    assert network.nodes[0] == {"bipartite": 0, "segment": 1, "segment_0": 0.25, "segment_1": 0.75}
    assert network.nodes[1] == {"bipartite": 0}
    assert network.nodes[5] == {"bipartite": 1}
    assert read_partition(network).tolist() == [1, None, 0]
    assert read_partition(network, "segment_0").tolist() == [0.25, None, 1.0]


def test_through_graphml() -> None:
    network = random_graph(3, 4).to_networkx()
    write_partition(network, MEMBERSHIPS, "taste")
    file = io.BytesIO()
    nx.write_graphml(network, file)
    file.seek(0)
    assert read_partition(nx.read_graphml(file), "taste").tolist() == [1, None, 0]


def test_a_partition_of_networkx_makes_segments() -> None:
    planted = plant()
    network = planted.graph.to_networkx()
    for label, members in enumerate(nx.community.louvain_communities(network, seed=0)):
        for node in members:
            network.nodes[node]["community"] = f"c{label}"
    data = UserData(planted.users.train, {"community": read_partition(network, "community")})
    segmenter = ByColumn(columns=["community"]).fit(
        planted.graph, planted.embeddings, np.random.default_rng(0), data
    )
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) == 1


def test_networks_that_do_not_fit() -> None:
    network = random_graph(4, 4).to_networkx()
    with pytest.raises(DataError, match="the network has 4 users, memberships are of 3"):
        write_partition(network, MEMBERSHIPS)
    with pytest.raises(DataError, match="no user of the network carries 'segment'"):
        read_partition(network)


def test_whole() -> None:
    graph = random_graph()
    expected = nx.to_numpy_array(graph.to_networkx())
    assert np.array_equal(whole(graph.biadjacency()).toarray(), expected)


@networkit
@pytest.mark.parametrize("cls", [Louvain, Leiden, LabelPropagation])
@pytest.mark.parametrize("on", ["bipartite", "users"])
def test_planted_blocks_by_networkit(cls: type[Communities], on: str) -> None:
    planted = plant(users=200, items=140, inside=0.5, outside=0.01)
    segmenter = fit(cls(library="networkit", on=on), planted)
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95


@networkit
@pytest.mark.parametrize("cls", [Louvain, Leiden])
def test_resolution_and_levels_by_networkit(cls: type[Louvain | Leiden]) -> None:
    planted = plant(users=160, items=120, groups=6, outside=0.1)
    segmenter = fit(cls(library="networkit", resolution=5.0, coarser=[0.01], min_users=1), planted)
    assert segmenter.num_segments > 6
    assert segmenter.at(1).shape[1] == 1


@pytest.mark.parametrize("cls", [Louvain, Leiden, LabelPropagation])
def test_networkit_is_not_installed(cls: type[Communities], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkit", None)
    with pytest.raises(ConfigError, match=rf"{cls.__name__}: library 'networkit' cannot be used") as caught:
        fit(cls(library="networkit"), plant())
    assert "pip install 'gnnseg[networkit]'" in str(caught.value)
