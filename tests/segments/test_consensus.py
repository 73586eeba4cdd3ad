from typing import Any, Self

import numpy as np
import pytest
import torch
from sklearn import cluster
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from gnnseg.data import UserData
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.segments import SEGMENTERS, Consensus, KMeans, Leiden, Segmenter, Views
from gnnseg.segments.base import as_seed
from tests.segments.planted import Planted, fit, plant


class Coordinate(Segmenter):
    """Two segments by the sign of one coordinate, softly.

    Args:
        axis: Which.
        steepness: How hard the border is.
    """

    def __init__(self, *, axis: int = 0, steepness: float = 1.0) -> None:
        super().__init__()
        self.axis = axis
        self.steepness = steepness

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
        right = torch.sigmoid(self.steepness * users[:, self.axis])
        return torch.stack([right, 1 - right], dim=1)


def view(**given: Any) -> dict[str, Any]:
    return {"name": f"{__name__}.Coordinate", **given}


def vague() -> Planted:
    return plant(noise=1.0)


def test_rows_are_as_far_apart_as_co_association_says() -> None:
    """K-means on rows of Z is kernel k-means on Z Z^T, whose distances are K_ii + K_jj - 2 K_ij."""
    planted = vague()
    views = [view(axis=0), view(axis=1), "KMeans"]
    consensus = fit(Consensus(views=views, num_segments=4, temperature=0.25), planted)
    z = torch.cat([v.memberships for v in consensus.members], dim=1).double().numpy()
    together = np.zeros((90, 90))
    for one in consensus.members:
        m = one.memberships.double().numpy()
        together += [[float(a @ b) for b in m] for a in m]
    labels = cluster.KMeans(4, n_init=4, random_state=_seed_after_views()).fit(z).labels_
    own = labels[:, None] == np.arange(4)
    share = own / own.sum(0)
    # squared distance of each user to the mean of each segment, by the kernel alone
    distance = (
        np.diag(together)[:, None] - 2 * together @ share + np.einsum("is,ij,js->s", share, together, share)
    )
    assert np.array_equal(distance.argmin(1), labels)
    width = 0.25 * distance[np.arange(90), labels].mean()
    expected = np.exp(-distance / width)
    np.testing.assert_allclose(
        consensus.memberships.numpy(), expected / expected.sum(1, keepdims=True), atol=1e-4
    )


def _seed_after_views() -> int:
    """The seed that is left for the consensus after k-means in the last view has drawn one."""
    rng = np.random.default_rng(0)
    as_seed(rng)
    return as_seed(rng)


def test_views_that_agree_give_their_partition() -> None:
    planted = vague()
    hard = view(axis=2, steepness=1e4)
    consensus = fit(Consensus(views=[hard, hard], num_segments=2), planted)
    expected = fit(SEGMENTERS.create(hard), planted)
    assert adjusted_rand_score(consensus.labels.numpy(), expected.labels.numpy()) == 1


def test_two_different_views_are_crossed() -> None:
    planted = vague()
    views = [view(axis=0, steepness=1e4), view(axis=1, steepness=1e4)]
    consensus = fit(Consensus(views=views, num_segments=4), planted)
    users = planted.embeddings.users
    quadrants = 2 * (users[:, 0] > 0).int() + (users[:, 1] > 0).int()
    assert adjusted_rand_score(consensus.labels.numpy(), quadrants.numpy()) == 1


@pytest.mark.parametrize("blind", ["graph", "vectors"])
def test_blocks_that_one_view_alone_sees(blind: str) -> None:
    seen = plant()
    nothing = plant(seed=3, inside=0.2, outside=0.2)
    planted = (
        Planted(nothing.graph, seen.embeddings, seen.groups)
        if blind == "graph"
        else Planted(seen.graph, Embeddings(torch.ones(90, 8), seen.embeddings.items), seen.groups)
    )
    views = ["Leiden", {"name": "KMeans", "num_segments": 3, "temperature": 0.01}]
    consensus = fit(Consensus(views=views, num_segments=3), planted)
    assert adjusted_rand_score(consensus.labels.numpy(), planted.groups) > 0.95


def test_strangers_go_through_the_views() -> None:
    planted = vague()
    strangers = plant(seed=6, noise=1.0).embeddings.users
    consensus = fit(Consensus(views=[view(axis=0), view(axis=1)], num_segments=3), planted)
    points = torch.cat([v(strangers) for v in consensus.members], dim=1)
    expected = torch.softmax(-torch.cdist(points, consensus.centres).square() / consensus.width, dim=1)
    torch.testing.assert_close(consensus(strangers), expected, atol=1e-4, rtol=0)


def test_views_have_hyperparameters() -> None:
    consensus = Consensus(views=["Leiden", {"name": "KMeans", "num_segments": 3}, view(axis=5)])
    leiden, kmeans, coordinate = consensus.members
    assert isinstance(leiden, Leiden)
    assert isinstance(kmeans, KMeans)
    assert isinstance(coordinate, Coordinate)
    assert coordinate.axis == 5
    assert fit(consensus, plant()).members[1].num_segments == 3


def test_a_resolved_spec_holds_those_of_the_views() -> None:
    resolved = SEGMENTERS.resolve({"name": "Consensus", "views": ["Louvain", {"name": "KMeans"}]})
    assert [dict(v) for v in resolved["views"]] == [
        SEGMENTERS.resolve("Louvain"),
        SEGMENTERS.resolve("KMeans"),
    ]
    assert [v["name"] for v in SEGMENTERS.resolve("Consensus")["views"]] == ["Leiden", "KMeans"]
    assert SEGMENTERS.resolve(resolved) == resolved


def test_consensus_of_a_consensus() -> None:
    inner = {"name": "Consensus", "views": [view(axis=0), view(axis=1)], "num_segments": 4}
    consensus = fit(Consensus(views=[inner, "KMeans"], num_segments=3), vague())
    assert consensus.num_segments == 3
    assert consensus.members[0].num_segments == 4


@pytest.mark.parametrize("views", [[], ["Leiden"], ()])
def test_too_few_views(views: list[str]) -> None:
    with pytest.raises(ConfigError, match="'views' must name at least two segmenters"):
        Consensus(views=views)


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (["Leiden", "KMean"], "unknown segmenter 'KMean'; did you mean 'KMeans'"),
        (["Leiden", {"name": "KMeans", "k": 3}], "unknown key 'k'"),
        (["Leiden", {"name": "KMeans", "num_segments": 0}], "'num_segments' should be greater than 0"),
        ("Leiden", "'views'"),
    ],
)
def test_wrong_views(views: Any, message: str) -> None:
    for build in (
        lambda: Consensus(views=views),
        lambda: SEGMENTERS.resolve({"name": "Consensus", "views": views}),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            build()
        assert "\n" not in str(caught.value)


class TestViews:
    def test_side_by_side(self) -> None:
        planted, strangers = vague(), torch.randn(25, 8)
        both = [view(axis=0), view(axis=1, steepness=3.0)]
        views = fit(Views(views=both), planted)
        parts = [fit(Coordinate(axis=0), planted), fit(Coordinate(axis=1, steepness=3.0), planted)]
        assert views.num_segments == 4
        expected = torch.cat([part.memberships for part in parts], dim=1) / 2
        torch.testing.assert_close(views.memberships, expected)
        torch.testing.assert_close(views(strangers), torch.cat([p(strangers) for p in parts], dim=1) / 2)

    def test_each_finds_what_was_planted(self) -> None:
        planted = plant()
        views = fit(Views(views=["Leiden", {"name": "KMeans", "num_segments": 3}]), planted)
        assert views.num_segments == 6
        for segments in (views.memberships[:, :3], views.memberships[:, 3:]):
            torch.testing.assert_close(segments.sum(1), torch.full((90,), 0.5))
            assert adjusted_rand_score(segments.argmax(1).numpy(), planted.groups) > 0.95

    def test_who_is_outside_of_one_view_belongs_to_the_others(self) -> None:
        planted, spec = plant(noise=0.3), {"name": "DBSCAN", "min_users": 12}
        outside = fit(SEGMENTERS.create(spec), planted).memberships.sum(1) == 0
        assert 0 < int(outside.sum()) < 90
        found = fit(Views(views=[spec, "OneSegment"]), planted).memberships
        assert (found[outside, -1] == 1).all()
        torch.testing.assert_close(found[~outside, -1], torch.full((int((~outside).sum()),), 0.5))
        nowhere = fit(Views(views=[spec, spec]), planted).memberships
        assert torch.equal(nowhere.sum(1) == 0, outside)

    @pytest.mark.parametrize("cls", [Views, Consensus])
    def test_needs_two(self, cls: type[Views]) -> None:
        with pytest.raises(ConfigError, match=rf"{cls.__name__}: 'views' must name at least two segmenters"):
            cls(views=["KMeans"])
