import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from gnnseg.errors import ConfigError
from gnnseg.segments.differences import Divergence, differences, jensen_shannon
from tests.segments.planted import graph_of, plant

LINKS = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
SOFT = np.array([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0], [0.5, 0.5]])
TAGS = [["horror", "space"], ["space"], [], ["love"]]
TEXTS = ["robot war", "robot love", "love", "war"]


def measure(
    memberships: np.ndarray = SOFT,
    links: np.ndarray = LINKS,
    permutations: int = 5,
    seed: int = 0,
    **kwargs: object,
) -> dict[str, Divergence]:
    rng = np.random.default_rng(seed)
    return differences(graph_of(links), memberships, rng=rng, permutations=permutations, **kwargs)  # type: ignore[arg-type]


masses = st.lists(
    st.tuples(st.floats(0, 100, allow_subnormal=False), st.floats(0, 100, allow_subnormal=False)),
    min_size=1,
    max_size=8,
).map(lambda pairs: np.array(pairs).T)


@settings(max_examples=100, deadline=None)
@given(masses)
def test_divergence_against_scipy(pair: np.ndarray) -> None:
    first, second = pair
    found = jensen_shannon(first, second)
    if not first.sum() or not second.sum():
        assert np.isnan(found)
        return
    shares = first / first.sum(), second / second.sum()
    middle = (
        shares[0] + shares[1]
    ) / 2  # jensenshannon takes the root of a rounding error where both are equal
    expected = sum(entropy(share, middle, base=2) for share in shares) / 2
    assert found == pytest.approx(expected, abs=1e-9)
    assert found == pytest.approx(float(jensen_shannon(second, first)), abs=1e-12)
    assert 0 <= found <= 1
    assert jensen_shannon(first, 3 * first) == pytest.approx(0, abs=1e-12)


def test_by_hand() -> None:
    found = measure(tags=TAGS, texts=TEXTS)
    items = (LINKS.T @ SOFT).T.astype(float)
    rest = LINKS.sum(0) - items
    counts = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]])  # horror, space, love
    # every word occurs in two texts, so that weights are equal within an item: love, robot, war
    words = np.array([[0, 0.5, 0.5], [0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]])
    for kind, trait in (("items", np.eye(4)), ("tags", counts), ("words", words)):
        own, others = items @ trait, rest @ trait
        pair = jensenshannon(own[0], own[1], base=2) ** 2
        np.testing.assert_allclose(found[kind].pairs, [[0, pair], [pair, 0]], atol=1e-9)
        expected = [jensenshannon(own[s], others[s], base=2) ** 2 for s in range(2)]
        np.testing.assert_allclose(found[kind].rest, expected, atol=1e-9)


def test_null_is_that_of_shuffled_users() -> None:
    planted = plant(users=30)
    table = np.eye(3)[planted.groups]
    links = planted.graph.biadjacency().toarray()
    rng = np.random.default_rng(4)
    found = differences(planted.graph, table, rng=np.random.default_rng(4), permutations=7)["items"]
    pairs, rest = [], []
    for _ in range(7):
        mass = rng.permutation(table).T @ links
        pairs.append([[jensenshannon(a, b, base=2) ** 2 for b in mass] for a in mass])
        rest.append([jensenshannon(a, links.sum(0) - a, base=2) ** 2 for a in mass])
    np.testing.assert_allclose(found.chance_pairs, np.mean(pairs, axis=0), atol=1e-7)
    np.testing.assert_allclose(found.chance_rest, np.mean(rest, axis=0), atol=1e-7)
    expected = (1 + (np.array(rest) >= found.rest).sum(0)) / 8
    np.testing.assert_allclose(found.p_rest, expected)


def test_planted_groups_differ_and_shuffled_ones_do_not() -> None:
    planted = plant()
    texts = [f"item number{chr(97 + n % 3)}x" for n in range(60)]
    apart = differences(
        planted.graph, np.eye(3)[planted.groups], texts=texts, rng=np.random.default_rng(0), permutations=39
    )["items"]
    assert (apart.rest > 3 * apart.chance_rest).all()
    assert (apart.p_rest == 1 / 40).all()
    assert (apart.p_pairs[~np.eye(3, dtype=bool)] == 1 / 40).all()
    shuffled = np.eye(3)[np.random.default_rng(1).permutation(planted.groups)]
    alike = differences(planted.graph, shuffled, rng=np.random.default_rng(0), permutations=39)["items"]
    assert (alike.p_rest > 0.05).all()
    assert (np.abs(alike.rest / alike.chance_rest - 1) < 0.5).all()
    # by chance alone segments lie well apart, which is why the null is there
    assert (alike.rest > 0.02).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_properties(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    links = (rng.random((8, 6)) < 0.4).astype(float)
    table = np.eye(size + 1)[rng.integers(size + 1, size=8)][:, :size]
    tags = [["t"] * int(n) for n in rng.integers(2, size=6)]
    for found in measure(table, links, permutations=3, seed=seed, tags=tags).values():
        np.testing.assert_array_equal(found.pairs, found.pairs.T)
        known = ~np.isnan(found.rest)
        for values in (found.rest, found.chance_rest):
            assert ((values[~np.isnan(values)] >= 0) & (values[~np.isnan(values)] <= 1)).all()
        assert ((found.p_rest[known] > 0) & (found.p_rest[known] <= 1)).all()
        assert np.isnan(found.p_rest[~known]).all()
        diagonal = np.diag(found.pairs)
        assert (diagonal[~np.isnan(diagonal)] == 0).all()
        json.dumps(found.as_dict(), allow_nan=False)


def test_numbers_of_segments_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(3), size=4)
    first, second = measure(table), measure(table[:, [2, 0, 1]])
    np.testing.assert_allclose(second["items"].rest, first["items"].rest[[2, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(
        second["items"].pairs, first["items"].pairs[np.ix_([2, 0, 1], [2, 0, 1])], atol=1e-12
    )


def test_one_segment_has_no_rest() -> None:
    rounding = np.full((4, 1), np.float32(1) - np.float32(1e-8))
    found = measure(rounding)["items"]
    assert found.as_dict() == {
        "pairs": [[0.0]],
        "rest": [None],
        "chance_pairs": [[0.0]],
        "chance_rest": [None],
        "p_pairs": [[1.0]],
        "p_rest": [None],
    }


def test_a_segment_without_users() -> None:
    found = measure(np.array([[1.0, 0.0, 0.0]] * 2 + [[0.0, 0.0, 1.0]] * 2))["items"].as_dict()
    assert found["rest"][1] is None
    assert found["pairs"][1] == [None, None, None]
    assert found["pairs"][0][1] is None
    assert found["rest"][0] == found["pairs"][0][2] == found["rest"][2]


def test_users_outside_are_part_of_the_rest() -> None:
    table = np.array([[1.0], [1.0], [0.0], [0.0]])
    expected = jensenshannon([2, 1, 0, 0], [0, 1, 2, 1], base=2) ** 2
    assert measure(table)["items"].rest == pytest.approx([expected])


@pytest.mark.parametrize("traits", [{}, {"tags": [[], [], [], []]}, {"texts": ["", "", "", ""]}])
def test_without_tags_and_texts(traits: dict[str, object]) -> None:
    assert measure(**traits).keys() == {"items"}  # type: ignore[arg-type]


@pytest.mark.parametrize("table", [np.ones((3, 2)), np.ones(4), np.ones((4, 0))])
def test_memberships_of_others(table: np.ndarray) -> None:
    with pytest.raises(
        ConfigError, match=r"'memberships' must be \[4, S\], a row a user of the graph \(got "
    ):
        measure(table)


def test_no_permutations() -> None:
    with pytest.raises(ConfigError, match=r"'permutations' must be positive \(got 0\)"):
        measure(permutations=0)
