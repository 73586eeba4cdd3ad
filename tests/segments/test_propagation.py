import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from gnnseg.errors import ConfigError
from gnnseg.segments import SEGMENTERS, LabelPropagation
from tests.segments.planted import Planted, embeddings_of, fit, graph_of, plant


@pytest.mark.parametrize("on", ["bipartite", "users"])
@pytest.mark.parametrize("library", ["scikit-network", "networkx"])
@pytest.mark.parametrize("seed", range(3))
def test_planted_blocks(on: str, library: str, seed: int) -> None:
    planted = plant(seed=seed, users=200, items=140, inside=0.5, outside=0.01, noise=5.0)
    segmenter = fit(LabelPropagation(on=on, library=library), planted, seed)
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95


@pytest.mark.parametrize("library", ["scikit-network", "networkx"])
def test_every_node_has_a_label_of_most_neighbours(library: str) -> None:
    """What the paper stops at; with the bipartite matrix square, users and items are still two sides."""
    planted = plant(users=60, items=60, outside=0.1)
    links = planted.graph.biadjacency()
    users, items = LabelPropagation(library=library)._labels(links, 3)
    for matrix, own, others in ((links.toarray(), users, items), (links.toarray().T, items, users)):
        for node, label in enumerate(own):
            votes = np.bincount(others[matrix[node] > 0], minlength=others.max() + 1)
            assert label < len(votes)
            assert votes[label] == votes.max()


def test_pieces_never_share_a_label() -> None:
    links = np.kron(np.eye(4), np.ones((12, 5)))
    planted = Planted(graph_of(links), embeddings_of(np.repeat(np.eye(4), 12, axis=0)), np.arange(48) // 12)
    segmenter = fit(LabelPropagation(), planted)
    assert segmenter.num_segments == 4
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) == 1


def test_wrong_hyperparameters() -> None:
    with pytest.raises(ConfigError, match=r"LabelPropagation: 'num_iterations' .*got"):
        LabelPropagation(num_iterations=0)
    with pytest.raises(ConfigError, match="unknown key 'resolution'"):
        SEGMENTERS.resolve({"name": "LabelPropagation", "resolution": 2.0})
