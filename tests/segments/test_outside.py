"""Users outside every segment keep the global model, and everything that counts users leaves them out."""

from typing import Any, Self

import numpy as np
import pytest
import torch
from torch import Tensor

from gnnseg.data import UserData
from gnnseg.errors import ConfigError
from gnnseg.evaluation import Evaluation
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.heads import FiLM, LoRA, SegmentHead, Shared
from gnnseg.segments import Consensus, OneSegment, Random, Segmenter
from gnnseg.segments.profiles import profiles
from gnnseg.segments.quality import modularity, quality, sizes
from gnnseg.statistics import Interval
from tests.graphs import randomise
from tests.segments.planted import Planted, embeddings_of, fit, graph_of, plant


class Sides(Segmenter):
    """Two segments by the sign of the first coordinate; who is within a margin of 0 is outside.

    Args:
        margin: Half of the width of what is outside.
    """

    def __init__(self, *, margin: float = 0.5) -> None:
        super().__init__()
        self.margin = margin

    def fit(
        self,
        graph: BipartiteGraph,
        embeddings: Embeddings,
        rng: np.random.Generator,
        users: UserData | None = None,
    ) -> Self:
        self.learned(memberships=self(embeddings.users))
        return self

    def forward(self, users: Tensor) -> Tensor:
        first = users[:, 0]
        return torch.stack([first > self.margin, first < -self.margin], dim=1).float()


def sides(margin: float = 0.5) -> dict[str, Any]:
    return {"name": f"{__name__}.Sides", "margin": margin}


def line() -> Planted:
    """Two blocks of three users, and two users between them who have an item of each block."""
    links = np.kron(np.eye(2), np.ones((3, 2)))
    between = np.array([[1, 0, 1, 0], [0, 1, 0, 1]])
    vectors = np.array([[2, 0], [2, 1], [3, 0], [-2, 0], [-2, 1], [-3, 0], [0.1, 1], [-0.1, 1]], dtype=float)
    return Planted(graph_of(np.concatenate([links, between])), embeddings_of(vectors), np.arange(8) // 3)


@pytest.mark.parametrize("head", [Shared, FiLM, LoRA])
def test_heads_leave_them_to_the_global_model(head: type[SegmentHead]) -> None:
    torch.manual_seed(0)
    given = Embeddings(torch.randn(4, 6), torch.randn(5, 6))
    memberships = torch.tensor([[0.0, 0, 0], [0.2, 0.8, 0], [0, 0, 0], [0, 0, 1]])
    module = head(6, 3)
    randomise(module)
    found = module(given, memberships).users
    assert torch.equal(found[[0, 2]], given.users[[0, 2]])
    if head is not Shared:
        assert not torch.allclose(found[[1, 3]], given.users[[1, 3]])


def test_labels_and_sizes() -> None:
    segmenter = fit(Sides(), line())
    assert segmenter.labels.tolist() == [0, 0, 0, 1, 1, 1, -1, -1]
    assert sizes(segmenter) == [3, 3]


def test_modularity_without_them() -> None:
    planted = line()
    labels = fit(Sides(), planted).labels.numpy()
    links = planted.graph.biadjacency().toarray().astype(np.float64)
    items = np.array([0, 0, 1, 1])
    expected = links - np.outer(links.sum(1), links.sum(0)) / links.sum()
    oracle = (expected * (labels[:, None] == items)).sum() / links.sum()
    assert modularity(planted.graph, labels) == pytest.approx(oracle)
    assert modularity(planted.graph, np.full(8, -1)) is None


def test_quality_without_them() -> None:
    planted = line()
    found = quality(fit(Sides(), planted), planted.graph, planted.embeddings, np.random.default_rng(0))
    inner = Planted(
        graph_of(planted.graph.biadjacency().toarray()[:6]),
        Embeddings(planted.embeddings.users[:6], planted.embeddings.items),
        planted.groups[:6],
    )
    alone = quality(fit(Sides(), inner), inner.graph, inner.embeddings, np.random.default_rng(0))
    silhouettes = found["silhouette"], alone["silhouette"]
    assert silhouettes[0] is not None
    assert silhouettes[1] is not None
    assert silhouettes[0].mean == pytest.approx(silhouettes[1].mean)
    assert found["sharpness"] == Interval(1.0, 1.0, 1.0)


def test_quality_where_nobody_is_inside() -> None:
    planted = line()
    segmenter = fit(Sides(margin=10), planted)
    found = quality(segmenter, planted.graph, planted.embeddings, np.random.default_rng(0))
    assert set(found) >= {"modularity", "silhouette", "agreement", "sharpness", "entropy", "stability"}
    assert set(found.values()) == {None}
    assert sizes(segmenter) == [0, 0]
    described = profiles(planted.graph, segmenter.memberships.numpy(), ["a", "b", "c", "d"])
    assert [(one["users"], one["share"]) for one in described] == [(0, 0.0), (0, 0.0)]


def test_profiles_without_them() -> None:
    planted = line()
    memberships = fit(Sides(), planted).memberships.numpy()
    found = profiles(planted.graph, memberships, ["a", "b", "c", "d"], min_users=1)
    assert [one["users"] for one in found] == [3, 3]
    assert [one["activity"] for one in found] == [2, 2]


def test_metrics_by_segment_without_them() -> None:
    values = {"ndcg@10": np.arange(8) / 8}
    labels = fit(Sides(), line()).labels.numpy()
    found = Evaluation(np.arange(8), values).by_segment(labels, 2, min_users=1)
    assert [one["users"] for one in found] == [3, 3]
    assert [one["metrics"]["ndcg@10"]["mean"] for one in found] == [pytest.approx(1 / 8), pytest.approx(0.5)]


def test_consensus_leaves_out_whom_no_view_has() -> None:
    planted = line()
    consensus = fit(Consensus(views=[sides(0.5), sides(1.0)], num_segments=2), planted)
    assert consensus.labels[6:].tolist() == [-1, -1]
    assert len(set(consensus.labels[:6].tolist())) == 2
    torch.testing.assert_close(consensus.memberships[:6].sum(1), torch.ones(6))
    assert not consensus(planted.embeddings.users[6:]).any()


def test_consensus_keeps_whom_one_view_has() -> None:
    consensus = fit(Consensus(views=[sides(), "OneSegment"], num_segments=3), line())
    assert (consensus.labels >= 0).all()
    assert consensus.labels[6] == consensus.labels[7]
    assert len(set(consensus.labels.tolist())) == 3


def test_consensus_of_too_few() -> None:
    with pytest.raises(ConfigError, match=r"users whom a view has in a segment, 6 \(got 7\)"):
        fit(Consensus(views=[sides(), sides()], num_segments=7), line())


def test_random_deals_them_out_too() -> None:
    planted = plant(users=60)
    like = fit(Sides(margin=0.1), planted).memberships
    segmenter = fit(Random(like=sides(0.1)), planted)
    rows = lambda memberships: sorted(map(tuple, memberships.tolist()))  # noqa: E731
    assert rows(segmenter.memberships) == rows(like)
    assert 0 < (segmenter.labels < 0).sum() < 60
    assert not torch.equal(segmenter.labels < 0, like.sum(1) == 0)
    torch.testing.assert_close(segmenter(planted.embeddings.users[:2]).sum(1), torch.ones(2))


def test_one_segment_has_everybody() -> None:
    assert (fit(OneSegment(), line()).labels == 0).all()
