import numpy as np
import pytest
import torch

from gnnseg.errors import ConfigError
from gnnseg.segments import DBSCAN, SEGMENTERS, Hard, KMeans, OneSegment, Random
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


def test_hard_is_the_strongest_segment_alone() -> None:
    planted = plant(noise=0.6)
    soft = fit(KMeans(num_segments=4), planted)
    hard = fit(Hard(of={"name": "KMeans", "num_segments": 4}), planted)
    assert 0 < float(soft.memberships.min()) < 0.2
    assert torch.equal(hard.labels, soft.labels)
    assert set(hard.memberships.flatten().tolist()) == {0.0, 1.0}
    strangers = torch.randn(25, 8)
    assert torch.equal(hard(strangers).argmax(1), soft(strangers).argmax(1))
    assert hard(strangers).sum(1).tolist() == [1.0] * 25


def test_hard_leaves_users_outside() -> None:
    planted, spec = plant(noise=0.3), {"name": "DBSCAN", "min_users": 12}
    soft, hard = fit(DBSCAN(min_users=12), planted), fit(Hard(of=spec), planted)
    outside = soft.memberships.sum(1) == 0
    assert 0 < int(outside.sum()) < 90
    assert torch.equal(hard.memberships.sum(1) == 0, outside)
    assert torch.equal(hard.labels, soft.labels)


def test_of_segments_alike_hard_takes_one() -> None:
    hard = fit(Hard(of={"name": "OneSegment", "copies": 3}), plant())
    assert hard.memberships.tolist() == [[1.0, 0.0, 0.0]] * 90


def test_the_spec_of_hard_is_resolved() -> None:
    resolved = SEGMENTERS.resolve("Hard")
    assert resolved["of"] == SEGMENTERS.resolve("KMeans")
    assert SEGMENTERS.resolve(resolved) == resolved
    with pytest.raises(ConfigError, match="unknown segmenter 'KMean'"):
        SEGMENTERS.resolve({"name": "Hard", "of": "KMean"})


def test_copies_share_users_equally() -> None:
    assert fit(OneSegment(copies=4), plant()).memberships.unique().tolist() == [0.25]
    with pytest.raises(ConfigError, match=r"'copies' .*\(got 0\)"):
        OneSegment(copies=0)
