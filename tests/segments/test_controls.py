import numpy as np
import pytest
import torch

from gnnseg.errors import ConfigError
from gnnseg.segments import SEGMENTERS, KMeans, Random
from tests.segments.planted import fit, plant


def test_parts_of_equal_size() -> None:
    planted = plant()
    segmenter = fit(Random(num_segments=4), planted)
    assert sorted(torch.bincount(segmenter.labels).tolist()) == [22, 22, 23, 23]
    assert set(segmenter.memberships.flatten().tolist()) == {0.0, 1.0}
    other = fit(Random(num_segments=4), planted, seed=1)
    assert not torch.equal(other.labels, segmenter.labels)
    expected = torch.tensor([23, 23, 22, 22]) / 90
    torch.testing.assert_close(segmenter(planted.embeddings.users[:2]), expected.expand(2, -1))


def test_memberships_of_another_dealt_out_anew() -> None:
    planted = plant(noise=0.6)
    like = fit(KMeans(num_segments=3), planted).memberships
    segmenter = fit(Random(like={"name": "KMeans", "num_segments": 3}), planted)
    rows = sorted(map(tuple, like.tolist()))
    assert sorted(map(tuple, segmenter.memberships.tolist())) == rows
    moved = (segmenter.memberships != like).any(1).float().mean()
    assert moved > 0.9
    torch.testing.assert_close(segmenter(planted.embeddings.users[:1])[0], like.mean(0))


def test_the_spec_is_resolved() -> None:
    resolved = SEGMENTERS.resolve({"name": "Random", "like": "KMeans"})
    assert resolved["like"] == SEGMENTERS.resolve("KMeans")
    assert SEGMENTERS.resolve(resolved) == resolved
    assert SEGMENTERS.resolve("Random")["like"] is None
    with pytest.raises(ConfigError, match="unknown segmenter 'KMean'"):
        SEGMENTERS.resolve({"name": "Random", "like": "KMean"})


def test_users_reach_the_other() -> None:
    planted = plant()
    segmenter = fit(Random(like={"name": "ByColumn", "columns": ["group"]}), planted)
    assert torch.bincount(segmenter.labels).tolist() == [30, 30, 30]
    with pytest.raises(ConfigError, match="ByColumn needs what is known of the users"):
        Random(like={"name": "ByColumn", "columns": ["group"]}).fit(
            planted.graph, planted.embeddings, np.random.default_rng(0)
        )
