import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gnnseg.errors import ConfigError
from gnnseg.scoring import strongest
from gnnseg.segments import lifts as module
from gnnseg.segments.lifts import PRIOR, hypergeometric, lifts, one_hot
from tests.segments.planted import graph_of, plant

tables = st.integers(1, 60).flatmap(
    lambda size: st.tuples(st.just(size), st.integers(0, size), st.integers(0, size)).flatmap(
        lambda drawn: st.tuples(
            *map(st.just, drawn), st.integers(max(0, drawn[1] + drawn[2] - drawn[0]), min(drawn[1:]))
        )
    )
)


@settings(max_examples=200, deadline=None)
@given(tables)
def test_hypergeometric_against_scipy(table: tuple[int, int, int, int]) -> None:
    size, marked, drawn, found = table
    got = hypergeometric(np.array([found]), np.array([marked]), np.array([drawn]), size)[0]
    counts = [[found, marked - found], [drawn - found, size - marked - drawn + found]]
    tail = "greater" if found * size >= marked * drawn else "less"
    exact = stats.fisher_exact(counts, alternative=tail).pvalue
    assert got == pytest.approx(min(1, 2 * exact), rel=1e-8)


def test_hypergeometric_of_many_users() -> None:
    size, drawn = 100_000, 20_000
    marked = np.array([10, 500, 500, 40_000, 40_000, 40_000])
    found = np.array([9, 160, 60, 8_300, 7_700, 8_000])
    below = found * size < marked * drawn
    oracle = stats.hypergeom(size, marked, drawn)
    exact = np.where(below, oracle.cdf(found), oracle.sf(found - 1))
    np.testing.assert_allclose(
        hypergeometric(found, marked, np.full(6, drawn), size), np.minimum(1, 2 * exact), rtol=1e-6
    )


def test_p_values_of_chance_are_uniform_at_most() -> None:
    rng = np.random.default_rng(0)
    marked = rng.integers(20, 500, size=4000)
    found = rng.hypergeometric(marked, 1000 - marked, 300)
    p = hypergeometric(found, marked, np.full(4000, 300), 1000)
    for level in (0.01, 0.05, 0.2):
        assert (p <= level).mean() <= level + 3 * (level / 4000) ** 0.5


def test_by_hand() -> None:
    links = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 1]])
    table = np.repeat(np.eye(2), 3, axis=0)
    found = lifts(graph_of(links), table, ["A", "B", "C"], min_users=1)
    p = {3: 2 / 20, 2: 1.0}  # all three of three among six, or two of three
    expected = [[p[3], p[2], p[3]], [p[3], p[2], p[3]]]
    np.testing.assert_allclose(found.p, expected)
    q = stats.false_discovery_control(np.ravel(expected)).reshape(2, 3)  # over all six tests
    np.testing.assert_allclose(found.q, q)
    assert found.more.tolist() == [[True, True, False], [False, False, True]]
    np.testing.assert_allclose(
        found.lift[0],
        [(3 + PRIOR) / (3 * 5 / 9 + PRIOR), (2 + PRIOR) / (3 * 5 / 9 + PRIOR), PRIOR / (3 * 5 / 9 + PRIOR)],
    )
    assert [entry["name"] for entry in found.liked(0, 0.5, 5)] == ["A"]
    assert found.liked(0, 0.5, 5)[0] == {"name": "A", "lift": round(23 / (15 / 9 + 20), 3), "q": 0.15}
    assert [entry["name"] for entry in found.avoided(0, 0.5, 5)] == ["C"]
    assert found.liked(0, 0.1, 5) == []
    assert [entry["name"] for entry in found.liked(0, 1, 1)] == ["A"]


def test_a_trait_is_favoured_above_the_median_share() -> None:
    """Active users have every tag; what tells is how much of their interactions it makes up."""
    rng = np.random.default_rng(0)
    links = (rng.random((80, 40)) < np.where(np.arange(80) < 40, 0.8, 0.3)[:, None]).astype(float)
    links[:, 0], links[:, 20] = 1, 1
    links[60:, 1:20] *= rng.random((20, 19)) < 0.6
    tags = sp.csr_matrix(np.repeat(np.eye(2), 20, axis=0))
    table = np.stack([np.arange(80) < 60, np.arange(80) >= 60], axis=1).astype(float)
    found = lifts(graph_of(links), table, ["left", "right"], tags)
    share = (links @ tags.toarray()) / links.sum(1, keepdims=True)
    medians = np.median(share, axis=0)
    splits = [(share[:, tag] > medians[tag], share[:, tag] >= medians[tag]) for tag in range(2)]
    above = np.stack([min(split, key=lambda part: abs(part.sum() - 40)) for split in splits], axis=1)
    for segment, inside in enumerate(table.T > 0):
        for tag in range(2):
            counts = [
                [(above[:, tag] & group).sum(), (~above[:, tag] & group).sum()] for group in (inside, ~inside)
            ]
            exact = min(stats.fisher_exact(counts, alternative=side).pvalue for side in ("less", "greater"))
            assert found.p[segment, tag] == pytest.approx(min(1, 2 * exact))
    assert [entry["name"] for entry in found.liked(1, 0.05, 5)] == ["right"]
    assert [entry["name"] for entry in found.avoided(1, 0.05, 5)] == ["left"]


def test_a_trait_that_most_users_share_alike() -> None:
    """Where the median user is one of many equals, they go with those above if that divides more evenly."""
    links = np.array([[1, 0]] * 30 + [[1, 1]] * 90)
    table = np.repeat(np.eye(2), [30, 90], axis=0)
    found = lifts(graph_of(links), table, ["a", "b"], sp.csr_matrix(np.eye(2)))
    # b makes up half of what 90 users have and nothing of what 30 have; a is the contrary
    exact = 2 * stats.fisher_exact([[0, 30], [90, 0]], alternative="less").pvalue
    np.testing.assert_allclose(found.p, exact)
    assert found.more.tolist() == [[True, False], [False, True]]


def test_blocks_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant()
    traits = sp.csr_matrix((np.random.default_rng(0).random((60, 7)) < 0.3).astype(float))
    table = np.eye(3)[planted.groups]
    whole = lifts(planted.graph, table, list("abcdefg"), traits)
    monkeypatch.setattr(module, "BLOCK", 180)
    parts = lifts(planted.graph, table, list("abcdefg"), traits)
    np.testing.assert_array_equal(whole.p, parts.p)
    np.testing.assert_array_equal(whole.more, parts.more)


def test_planted_items_are_found_and_shuffled_ones_are_not() -> None:
    planted = plant()
    links = planted.graph.biadjacency().toarray()
    favourite = np.stack([links[planted.groups == g].sum(0) for g in range(3)]).argmax(0)
    names = [str(group) for group in favourite]
    found = lifts(planted.graph, np.eye(3)[planted.groups], names)
    for segment in range(3):
        liked = found.liked(segment, 0.05, 60)
        assert {entry["name"] for entry in liked} == {str(segment)}
        assert len(liked) >= 0.8 * (favourite == segment).sum()
        assert str(segment) not in {entry["name"] for entry in found.avoided(segment, 0.05, 60)}
    hits = 0
    for seed in range(5):
        shuffled = np.eye(3)[np.random.default_rng(seed).permutation(planted.groups)]
        hits += int((lifts(planted.graph, shuffled, names).q <= 0.05).sum())
    assert hits <= 1


def test_too_few_users_are_not_tested() -> None:
    links = np.array([[1, 0]] * 12 + [[0, 1]] * 9)
    table = np.repeat(np.eye(2), [12, 9], axis=0)
    found = lifts(graph_of(links), table, ["A", "B"])
    assert found.p[0, 0] < 1e-3
    assert found.p[0, 1] == found.q[0, 1] == 1  # nine users have it
    assert (found.p[1] == 1).all()  # nine users are in it
    assert (lifts(graph_of(links), table, ["A", "B"], min_users=9).p < 1e-3).all()


def test_users_outside_belong_to_all() -> None:
    links = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
    table = np.array([[1.0], [1.0], [0.0], [0.0]])
    found = lifts(graph_of(links), table, ["A", "B"], min_users=1)
    assert found.more.tolist() == [[True, False]]
    np.testing.assert_allclose(found.lift, [[(2 + PRIOR) / (1 + PRIOR), PRIOR / (1 + PRIOR)]])
    np.testing.assert_allclose(found.p, [[2 / 6, 2 / 6]])


@pytest.mark.parametrize("size", [1, 3])
def test_degenerate_segments(size: int) -> None:
    """One segment, or one with everybody and others empty: nothing is lifted, nothing fails."""
    table = np.eye(size)[np.zeros(90, dtype=int)]
    found = lifts(plant().graph, table, [str(n) for n in range(60)], min_users=0)
    assert (found.p == 1).all()
    np.testing.assert_allclose(found.lift, 1)


def test_a_graph_without_links() -> None:
    found = lifts(graph_of(np.zeros((20, 3))), np.eye(2)[np.arange(20) % 2], ["A", "B", "C"])
    assert (found.q == 1).all()
    assert (found.lift == 1).all()


def test_memberships_of_others() -> None:
    with pytest.raises(ConfigError, match=r"'memberships' must be \[90, S\]"):
        lifts(plant().graph, np.ones((3, 2)), ["A"])


def test_labels() -> None:
    table = np.array([[0.2, 0.8], [0.0, 0.0], [1.0, 0.0]])
    assert strongest(table).tolist() == [1, -1, 0]
    assert one_hot(strongest(table), 2).tolist() == [[0, 1], [0, 0], [1, 0]]
