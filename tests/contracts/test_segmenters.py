"""What every segmenter keeps to, whatever it learns from."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from gnnseg.errors import ConfigError, DataError, NotFittedError
from gnnseg.graph import Embeddings
from gnnseg.scoring import strongest
from gnnseg.segments import SEGMENTERS, Segmenter
from tests.segments.planted import GROUPS, Planted, fit, graph_of, plant, relabelled

NAMES = sorted(SEGMENTERS.classes())
SIZED = sorted(n for n, cls in SEGMENTERS.classes().items() if "num_segments" in cls.hyperparameters())
LEARNERS = sorted(set(NAMES) - {"OneSegment"})
"""Segmenters with anything to learn."""
FINDERS = sorted(set(LEARNERS) - {"Random", "ByActivity", "Views"})
"""Segmenters that must find what was planted, once: ``Views`` has it once a view."""
NESTED = {
    "Consensus": {"views": ["Leiden", {"name": "KMeans", "num_segments": GROUPS}]},
    "Views": {"views": ["Leiden", {"name": "KMeans", "num_segments": GROUPS}]},
    "Hard": {"of": {"name": "KMeans", "num_segments": GROUPS}},
    "ByColumn": {"columns": ["group"]},
    "LabelPropagation": {"on": "users"},
}
FROM_GRAPH = {
    "Louvain",
    "Leiden",
    "LabelPropagation",
    "CoClustering",
    "Consensus",
    "Views",
    "ByActivity",
    "ByTime",
}
FROM_VECTORS = {
    *("KMeans", "MiniBatchKMeans", "GaussianMixture", "DBSCAN", "HDBSCAN"),
    *("Spectral", "Agglomerative", "ScoreKMeans", "Consensus", "Views", "Hard"),
}
OUTSIDE = {"DBSCAN", "HDBSCAN"}
"""Segmenters that may leave users outside every segment."""
NEEDY = sorted(n for n in NAMES if n in {"ByColumn", "ByTime"})
"""Segmenters that need more than graph and vectors."""


def make(name: str, **given: Any) -> Segmenter:
    """A segmenter for as many segments as were planted, where that is for us to say."""
    sized = {"num_segments": GROUPS} if name in SIZED else {}
    return SEGMENTERS.create({"name": name, **sized, **NESTED.get(name, {}), **given})


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant()


@pytest.fixture(scope="module")
def strangers() -> Tensor:
    return torch.randn(25, 8, generator=torch.Generator().manual_seed(3))


def check(memberships: Tensor, rows: int, name: str) -> None:
    assert memberships.dtype == torch.float32
    assert memberships.shape[0] == rows
    assert memberships.shape[1] >= 1
    assert torch.isfinite(memberships).all()
    assert (memberships >= 0).all()
    sums = memberships.sum(1)
    outside = sums == 0
    torch.testing.assert_close(sums[~outside], torch.ones(int((~outside).sum())))
    assert name in OUTSIDE or not outside.any()


@pytest.mark.parametrize("name", NAMES)
def test_defaults(name: str, planted: Planted, strangers: Tensor) -> None:
    required = {"columns": ["group"]} if name == "ByColumn" else {}
    segmenter = fit(SEGMENTERS.create({"name": name, **required}), planted)
    check(segmenter.memberships, 90, name)
    assert segmenter.num_segments == segmenter.memberships.shape[1]
    inside = segmenter.memberships.sum(1) > 0
    assert torch.equal(segmenter.labels[inside], segmenter.memberships[inside].argmax(1))
    assert (segmenter.labels[~inside] == -1).all()
    assert segmenter.names is None or len(segmenter.names) == segmenter.num_segments
    found = segmenter(strangers)
    check(found, 25, name)
    assert found.shape[1] == segmenter.num_segments
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())


@pytest.mark.parametrize("name", FINDERS)
@pytest.mark.parametrize("seed", range(3))
def test_planted_segments_are_found(name: str, seed: int) -> None:
    planted = plant(seed=seed)
    segmenter = fit(make(name), planted, seed)
    assert segmenter.num_segments == GROUPS
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95
    by_vectors = strongest(segmenter(planted.embeddings.users))
    assert adjusted_rand_score(by_vectors.numpy(), planted.groups) > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_users_alike_get_the_same(name: str, planted: Planted, strangers: Tensor) -> None:
    segmenter = fit(make(name), planted)
    together = segmenter(strangers)
    torch.testing.assert_close(segmenter(strangers[4:7]), together[4:7])
    torch.testing.assert_close(segmenter(strangers.flip(0)), together.flip(0))


@pytest.mark.parametrize("name", NAMES)
def test_all_randomness_comes_from_the_generator(name: str, planted: Planted) -> None:
    weak = plant(seed=1, inside=0.2, outside=0.1, noise=0.8)
    fits = []
    for other in (1, 2):
        np.random.seed(other)  # noqa: NPY002 - the global state must not matter
        torch.manual_seed(other)
        fits.append(fit(make(name), weak, seed=5).memberships)
    assert torch.equal(*fits)


@pytest.mark.parametrize("name", NAMES)
def test_fitting_again_forgets(name: str, planted: Planted) -> None:
    other = plant(seed=2, users=60, items=50, groups=4, inside=0.8)
    again = fit(fit(make(name), planted), other)
    fresh = fit(make(name), other)
    assert torch.equal(again.memberships, fresh.memberships)
    assert torch.equal(again(other.embeddings.users), fresh(other.embeddings.users))


@pytest.mark.parametrize("name", NAMES)
def test_the_given_is_left_as_it_is(name: str, planted: Planted) -> None:
    links, users = planted.graph.biadjacency().copy(), planted.embeddings.users.clone()
    fit(make(name), planted)
    after = planted.graph.biadjacency()
    assert all(
        np.array_equal(getattr(after, part), getattr(links, part)) for part in ("data", "indices", "indptr")
    )
    assert torch.equal(planted.embeddings.users, users)


@pytest.mark.parametrize("name", LEARNERS)
def test_learned_from_what_is_given(name: str, planted: Planted) -> None:
    other = plant(seed=9)
    base, graph_changed, vectors_changed = (
        fit(make(name), Planted(graph, vectors, planted.groups)).memberships
        for graph, vectors in (
            (planted.graph, planted.embeddings),
            (other.graph, planted.embeddings),
            (planted.graph, other.embeddings),
        )
    )
    assert torch.equal(base, graph_changed) == (name not in FROM_GRAPH)
    assert torch.equal(base, vectors_changed) == (name not in FROM_VECTORS)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_do_not_leak(name: str, planted: Planted) -> None:
    users, items = planted.embeddings
    tracked = Embeddings(users.clone().requires_grad_(), items)
    segmenter = fit(make(name), Planted(planted.graph, tracked, planted.groups))
    assert not any(buffer.requires_grad for buffer in segmenter.buffers())


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"Random"}))
def test_permuting_users(name: str, planted: Planted) -> None:
    # K-means, mixtures and Louvain visit users in a drawn order, so on vague data they end elsewhere; on
    # data with one clear optimum, as planted, all must end in it, up to the numbers of the segments.
    order = np.random.default_rng(1).permutation(90)
    users, items = planted.embeddings
    permuted = Planted(
        graph_of(planted.graph.biadjacency().toarray()[order]),
        Embeddings(users[torch.from_numpy(order)], items),
        planted.groups[order],
    )
    # of users who are equally near, the first rows are taken, so this graph has to be the bipartite one
    given = {"on": "bipartite"} if name == "LabelPropagation" else {}
    base, moved = fit(make(name, **given), planted), fit(make(name, **given), permuted)
    expected = base.memberships[torch.from_numpy(order)]
    # the mixture stops where its likelihood grows by less than its tolerance, so not at the very optimum
    torch.testing.assert_close(relabelled(moved.memberships, expected), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict(name: str, planted: Planted, strangers: Tensor) -> None:
    segmenter = fit(make(name), planted)
    fresh = make(name)
    fresh.load_state_dict({key: value.clone() for key, value in segmenter.state_dict().items()})
    assert fresh.num_segments == segmenter.num_segments
    assert torch.equal(fresh.memberships, segmenter.memberships)
    assert torch.equal(fresh(strangers), segmenter(strangers))


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_of_other_sizes(name: str, planted: Planted, strangers: Tensor) -> None:
    """A fitted segmenter takes on the sizes of what it loads."""
    segmenter = fit(make(name), planted)
    other = fit(make(name), plant(seed=4, users=40, items=40, groups=2, inside=0.8))
    other.load_state_dict(segmenter.state_dict())
    assert torch.equal(other.memberships, segmenter.memberships)
    assert torch.equal(other(strangers), segmenter(strangers))


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_inside_a_larger_module(name: str, planted: Planted) -> None:
    segmenter = fit(make(name), planted)
    saved = torch.nn.ModuleDict({"segmenter": segmenter, "linear": torch.nn.Linear(2, 2)}).state_dict()
    whole = torch.nn.ModuleDict({"segmenter": make(name), "linear": torch.nn.Linear(2, 2)})
    whole.load_state_dict(saved)
    assert torch.equal(whole["segmenter"].memberships, segmenter.memberships)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_learned_yet(name: str) -> None:
    segmenter = make(name)
    with pytest.raises(NotFittedError, match="call fit first"):
        _ = segmenter.num_segments
    with pytest.raises(NotFittedError, match="call fit first"):
        _ = segmenter.labels


@pytest.mark.parametrize("name", LEARNERS)
def test_nothing_learned_to_assign_by(name: str, strangers: Tensor) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        make(name)(strangers)


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite(name: str, wrong: float, planted: Planted) -> None:
    users = planted.embeddings.users.clone()
    users[7, 2] = wrong
    segmenter = make(name)
    with pytest.raises(DataError, match="user vectors hold NaN or infinite values"):
        fit(segmenter, Planted(planted.graph, Embeddings(users, planted.embeddings.items), planted.groups))
    with pytest.raises(NotFittedError):
        _ = segmenter.num_segments


@pytest.mark.parametrize("name", SIZED)
def test_more_segments_than_users(name: str) -> None:
    few = plant(users=6, inside=0.9)
    with pytest.raises(ConfigError, match=r"'num_segments' must be at most the number of users 6 \(got 7\)"):
        fit(make(name, num_segments=7), few)


@pytest.mark.parametrize("name", SIZED)
def test_as_many_segments_as_users(name: str) -> None:
    few = plant(users=6, inside=0.9)
    check(fit(make(name, num_segments=6, **views_of(name)), few).memberships, 6, name)


@pytest.mark.parametrize("name", SIZED)
def test_one_segment(name: str, planted: Planted, strangers: Tensor) -> None:
    segmenter = fit(make(name, num_segments=1), planted)
    torch.testing.assert_close(segmenter.memberships, torch.ones(90, 1))
    torch.testing.assert_close(segmenter(strangers), torch.ones(25, 1))


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_copies_of_one_segment(copies: int, planted: Planted, strangers: Tensor) -> None:
    segmenter = fit(make("OneSegment", copies=copies), planted)
    assert segmenter.num_segments == copies
    check(segmenter.memberships, 90, "OneSegment")
    assert (segmenter.memberships == segmenter.memberships[0, 0]).all()
    assert torch.equal(segmenter(strangers), segmenter.memberships[:25])
    assert (segmenter.labels == 0).all()


@pytest.mark.parametrize("name", NEEDY)
def test_nothing_is_known_of_users(name: str, planted: Planted) -> None:
    with pytest.raises(ConfigError, match=f"{name} needs what is known of the users; give fit 'users'"):
        make(name).fit(planted.graph, planted.embeddings, np.random.default_rng(0))


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(NEEDY)))
def test_users_need_not_be_known(name: str, planted: Planted) -> None:
    found = make(name).fit(planted.graph, planted.embeddings, np.random.default_rng(0))
    assert torch.equal(found.memberships, fit(make(name), planted).memberships)


def views_of(name: str) -> dict[str, Any]:
    return {"views": ["OneSegment", "Leiden"]} if name == "Consensus" else {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 0.3])
def test_all_users_alike(name: str, value: float, planted: Planted) -> None:
    links = np.zeros((90, 60))
    links[:, :4] = 1
    alike = Embeddings(torch.full((90, 8), value), planted.embeddings.items)
    # nor does the table tell them apart
    segmenter = fit(make(name), Planted(graph_of(links), alike, np.zeros(90)))
    check(segmenter.memberships, 90, name)
    if name not in {"Random", "ByTime"}:
        torch.testing.assert_close(segmenter.memberships, segmenter.memberships[:1].expand(90, -1))
    check(segmenter(planted.embeddings.users), 90, name)


@pytest.mark.parametrize("name", NAMES)
def test_graph_in_many_pieces(name: str, planted: Planted) -> None:
    pieces = graph_of(np.kron(np.eye(30), np.ones((3, 2))))
    segmenter = fit(make(name), Planted(pieces, planted.embeddings, planted.groups))
    check(segmenter.memberships, 90, name)
    check(segmenter(planted.embeddings.users), 90, name)


@pytest.mark.parametrize("name", NAMES)
def test_users_and_items_without_links(name: str, planted: Planted) -> None:
    links = planted.graph.biadjacency().toarray()
    links[:5] = 0
    links[:, :3] = 0
    segmenter = fit(make(name), Planted(graph_of(links), planted.embeddings, planted.groups))
    check(segmenter.memberships, 90, name)
    if name in FINDERS:
        assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_graph_without_links(name: str, planted: Planted) -> None:
    empty = Planted(graph_of(np.zeros((90, 60))), planted.embeddings, planted.groups)
    if name == "ByTime":
        with pytest.raises(DataError, match="ByTime needs the times of interactions"):
            fit(make(name), empty)
    else:
        check(fit(make(name), empty).memberships, 90, name)


@pytest.mark.parametrize("name", NAMES)
def test_softness(name: str, planted: Planted) -> None:
    """Where there is a temperature, more of it makes the assignment by vectors softer."""
    if "temperature" not in SEGMENTERS.classes()[name].hyperparameters():
        return
    vague = plant(noise=0.2 if name in OUTSIDE else 0.6)
    largest = [
        fit(make(name, temperature=t), vague)(vague.embeddings.users).max(1).values.mean()
        for t in (0.05, 1.0, 20.0)
    ]
    assert largest[0] > largest[1] > largest[2]
