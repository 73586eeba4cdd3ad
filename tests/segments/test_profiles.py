import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from gnnseg.errors import ConfigError
from gnnseg.segments.profiles import PRIOR, merge_small, profiles
from tests.segments.planted import Planted, graph_of, plant

ITEMS = ["Alien", "Brazil", "Casablanca"]
TAGS = [["horror", "space"], ["space"], []]
LINKS = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]])
MEMBERSHIPS = np.array([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0], [0.5, 0.5]])
SAY_ALL = {"min_users": 0, "level": 1.0}
"""No test, no limit: what lifts and counts are can be checked by hand on few users."""


def by_name(entries: list[dict[str, object]]) -> dict[object, object]:
    assert all(set(entry) == {"name", "lift", "q"} for entry in entries)
    return {entry["name"]: entry["lift"] for entry in entries}


def test_by_hand() -> None:
    first, second = profiles(graph_of(LINKS), MEMBERSHIPS, ITEMS, TAGS, **SAY_ALL)
    # links of segment 0: Alien 1 + .75, Brazil 1, Casablanca .5, together 3.25 of all 6 links
    assert PRIOR == 20
    lifts = {
        "Alien": (1.75 + 20) / (2 * 3.25 / 6 + 20),
        "Brazil": (1 + 20) / (2 * 3.25 / 6 + 20),
        "Casablanca": (0.5 + 20) / (2 * 3.25 / 6 + 20),
    }
    assert by_name(first["profile"]["likes"] + first["profile"]["dislikes"]) == {
        name: round(lift, 3) for name, lift in lifts.items()
    }
    assert first["profile"]["typical"] == ["Alien", "Brazil", "Casablanca"]
    assert second["profile"]["typical"] == ["Casablanca", "Brazil", "Alien"]
    # tags of segment 0: horror 1.75 of 2, space 2.75 of 4, together 4.5 of 6
    assert by_name(first["profile"]["tags"]) == {"horror": round(21.75 / 21.5, 3)}
    # the lift of space is below 1 in segment 0, yet more of its users favour it than of all
    assert first["profile"]["avoids"] == second["profile"]["tags"] == []
    assert by_name(second["profile"]["avoids"]) == {"horror": round(20.25 / 20.5, 3)}
    assert (first["segment"], first["users"], first["share"]) == (0, 3, 0.75)
    assert (second["segment"], second["users"], second["share"]) == (1, 1, 0.25)
    assert first["activity"] == pytest.approx(4 / 3)
    assert second["activity"] == 2


@pytest.mark.parametrize("tags", [None, [[], [], []]])
@pytest.mark.parametrize("texts", [None, ["", "", ""]])
def test_without_tags_and_texts(tags: list[list[str]] | None, texts: list[str] | None) -> None:
    for segment in profiles(graph_of(LINKS), MEMBERSHIPS, ITEMS, tags, texts=texts, **SAY_ALL):
        assert set(segment["profile"]) == {"likes", "dislikes", "typical"}


@pytest.mark.parametrize("top", [1, 2])
def test_top(top: int) -> None:
    ids = ["a", "b", "c", "d"]
    found = profiles(
        graph_of(LINKS), MEMBERSHIPS, ITEMS, TAGS, top, vectors=np.eye(4), user_ids=ids, **SAY_ALL
    )
    for segment in found:
        assert all(len(entries) <= top for entries in segment["profile"].values())
        assert len(segment["profile"]["typical"]) == top
    assert len(found[0]["profile"]["users"]) == top


def test_likes_and_dislikes_divide_the_items() -> None:
    """Those that more of the segment's users have and that are lifted, and those of which neither is so."""
    for segment in profiles(graph_of(LINKS), MEMBERSHIPS, ITEMS, TAGS, **SAY_ALL):
        likes, dislikes = (by_name(segment["profile"][kind]) for kind in ("likes", "dislikes"))
        assert all(lift > 1 for lift in likes.values())
        assert all(lift < 1 for lift in dislikes.values())
    first, second = profiles(graph_of(LINKS), MEMBERSHIPS, ITEMS, TAGS, **SAY_ALL)
    assert list(by_name(first["profile"]["likes"])) == ["Alien"]
    assert list(by_name(first["profile"]["dislikes"])) == ["Casablanca", "Brazil"]
    assert list(by_name(second["profile"]["likes"])) == ["Casablanca", "Brazil"]


def described(planted: Planted, memberships: np.ndarray, **options: Any) -> list[dict[str, Any]]:
    """With tags, texts and ids; genres and words are named like the group that an item belongs to."""
    links = planted.graph.biadjacency().toarray()
    favourite = np.stack([links[planted.groups == g].sum(0) for g in range(3)]).argmax(0)
    return profiles(
        planted.graph,
        memberships,
        [f"item {i} of {group}" for i, group in enumerate(favourite)],
        [[f"genre {group}", "film"] for group in favourite],
        texts=[f"story {('love', 'war', 'robots')[group]}" for group in favourite],
        vectors=planted.embeddings.users.numpy(),
        user_ids=[f"user {row} of {group}" for row, group in enumerate(planted.groups)],
        **options,
    )


def test_a_planted_genre_is_found() -> None:
    planted = plant(seed=2)
    links = planted.graph.biadjacency().toarray()
    found = described(planted, np.eye(3)[planted.groups])
    assert sum(segment["users"] for segment in found) == 90
    assert sum(segment["share"] for segment in found) == pytest.approx(1)
    for group, segment in enumerate(found):
        profile, word = segment["profile"], ("love", "war", "robots")[group]
        assert segment["segment"] == group
        assert (segment["hidden"], segment["merged"]) == (False, [])
        assert segment["users"] == (planted.groups == group).sum()
        assert segment["activity"] == pytest.approx(links[planted.groups == group].sum(1).mean())
        assert [entry["name"] for entry in profile["tags"]] == [f"genre {group}"]
        assert profile["tags"][0]["lift"] > 2
        assert profile["tags"][0]["q"] < 1e-6
        assert {entry["name"] for entry in profile["avoids"]} == {
            f"genre {g}" for g in range(3) if g != group
        }
        assert [entry["name"] for entry in profile["words"]] == [word]
        assert len(profile["likes"]) == len(profile["typical"]) == len(profile["users"]) == 5
        assert all(entry["name"].endswith(f"of {group}") for entry in profile["likes"])
        assert not any(entry["name"].endswith(f"of {group}") for entry in profile["dislikes"])
        assert all(name.endswith(f"of {group}") for name in profile["typical"] + profile["users"])
        assert segment["name"] == f"genre {group} & {word.capitalize()}"
    json.dumps(found, allow_nan=False)


def test_shuffled_segments_like_nothing() -> None:
    planted = plant(seed=2)
    found = described(planted, np.eye(3)[np.random.default_rng(0).permutation(planted.groups)])
    for number, segment in enumerate(found):
        profile = segment["profile"]
        assert profile["likes"] == profile["dislikes"] == profile["tags"] == profile["avoids"] == []
        assert len(profile["typical"]) == 5
        assert segment["name"] == f"segment {number}"


def test_typical_users_are_nearest_to_the_centre() -> None:
    planted = plant(seed=2, noise=0.5)
    memberships = np.random.default_rng(0).dirichlet(np.ones(3), size=90)
    vectors = planted.embeddings.users.double().numpy()
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for segment, found in enumerate(described(planted, memberships, top=4)):
        inside = memberships.argmax(1) == segment
        centre = np.average(directions, axis=0, weights=memberships[:, segment])
        cosine = directions @ (centre / np.linalg.norm(centre))
        expected = [row for row in np.argsort(-cosine) if inside[row]][:4]
        assert [name.split()[1] for name in found["profile"]["users"]] == [str(row) for row in expected]


def test_most_and_least_typical_tags_come_first() -> None:
    tags = [["a"], ["b"], ["c"], ["d"]]
    links = np.array([[1, 1, 1, 0]] * 30 + [[0, 0, 1, 1]] * 50 + [[0, 1, 0, 1]] * 40)
    memberships = np.repeat(np.eye(2), [30, 90], axis=0)
    first = profiles(graph_of(links), memberships, ["A", "B", "C", "D"], tags, top=1)[0]["profile"]
    assert [entry["name"] for entry in first["tags"]] == ["a"]
    assert [entry["name"] for entry in first["avoids"]] == ["d"]


def small(planted: Planted, users: int = 9) -> np.ndarray:
    """The groups, and ``users`` of group 0 in a segment of their own."""
    labels = planted.groups.copy()
    labels[np.flatnonzero(labels == 0)[:users]] = 3
    return np.eye(4)[labels]


def test_small_groups_are_hidden() -> None:
    planted = plant(seed=2)
    found = described(planted, small(planted))
    last = found[3]
    assert (last["segment"], last["users"], last["share"]) == (3, None, None)
    assert (last["hidden"], last["activity"], last["name"]) == (True, None, "segment 3")
    assert last["profile"] == {"likes": [], "dislikes": [], "typical": []}
    assert not any(segment["hidden"] for segment in found[:3])
    members = np.flatnonzero(small(planted)[:, 3])
    assert not any(f"user {row} of" in json.dumps(found) for row in members)
    assert not described(planted, small(planted, users=10))[3]["hidden"]
    assert not described(planted, small(planted), min_users=9)[3]["hidden"]


def test_small_groups_are_merged() -> None:
    planted = plant(seed=2)
    found = described(planted, small(planted), small="merge")
    assert [(segment["segment"], segment["merged"]) for segment in found] == [(0, [3]), (1, []), (2, [])]
    assert sum(segment["users"] for segment in found) == 90
    whole = described(planted, np.eye(3)[planted.groups])
    assert [s["profile"] for s in found] == [s["profile"] for s in whole]


def test_merging_goes_to_the_most_similar() -> None:
    planted = plant(seed=2)
    table = small(planted)
    mass = table.T @ planted.graph.biadjacency().toarray()
    nearest = int(np.argmin([jensenshannon(mass[3], mass[s], base=2) for s in range(3)]))
    merged, groups = merge_small(planted.graph, table)
    assert groups == [[s, 3] if s == nearest else [s] for s in range(3)]
    np.testing.assert_array_equal(merged, np.eye(3)[planted.groups])


def test_merging_ends_with_one_group() -> None:
    rng = np.random.default_rng(0)
    table = rng.dirichlet(np.ones(4), size=4)
    merged, groups = merge_small(graph_of(LINKS), table, min_users=10)
    assert sorted(groups[0]) == [0, 1, 2, 3]
    np.testing.assert_allclose(merged, 1)
    only = profiles(graph_of(LINKS), table, ITEMS, small="merge")
    assert len(only) == 1
    assert only[0]["hidden"]


def test_an_empty_group_is_merged_into_the_largest() -> None:
    table = np.eye(3)[[0, 1, 1, 1]]
    merged, groups = merge_small(graph_of(LINKS), table, min_users=1)
    assert groups == [[0], [1, 2]]
    assert merged.sum(0).tolist() == [1, 3]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(0, 12), st.sampled_from(["hide", "merge"]))
def test_properties(seed: int, size: int, min_users: int, what: str) -> None:
    rng = np.random.default_rng(seed)
    links = (rng.random((24, 6)) < 0.4).astype(float)
    table = np.eye(size + 1)[rng.integers(size + 1, size=24)][:, :size]
    names = ["same", "same", "Same", "b", "b", "c"]
    found = profiles(
        graph_of(links),
        table,
        names,
        [["t"], ["T"], ["t"], [], ["u"], ["u"]],
        texts=names,
        vectors=rng.normal(size=(24, 3)),
        user_ids=[f"#{row}" for row in range(24)],
        min_users=min_users,
        level=1.0,
        small=what,  # type: ignore[arg-type]
    )
    labels = np.where(table.any(1), table.argmax(1), -1)
    called = [segment["name"].casefold() for segment in found]
    assert len(set(called)) == len(called)
    assert sorted(s for segment in found for s in [segment["segment"], *segment["merged"]]) == list(
        range(size)
    )
    hidden = sum(int((labels == segment["segment"]).sum()) for segment in found if segment["hidden"])
    assert sum(segment["users"] or 0 for segment in found) + hidden == (labels >= 0).sum()
    for segment in found:
        inside = np.isin(labels, [segment["segment"], *segment["merged"]])
        assert segment["hidden"] == (inside.sum() < max(1, min_users))
        assert segment["users"] == (None if segment["hidden"] and inside.any() else inside.sum())
        shown = {int(name[1:]) for name in segment["profile"].get("users", [])}
        assert shown <= set(np.flatnonzero(inside).tolist())
        assert bool(shown) == (not segment["hidden"])
    json.dumps(found, allow_nan=False)


def test_one_segment() -> None:
    planted = plant()
    (found,) = described(planted, np.ones((90, 1)))
    assert (found["users"], found["share"], found["name"]) == (90, 1.0, "segment 0")
    assert found["profile"]["likes"] == found["profile"]["avoids"] == []


def test_a_segment_without_users() -> None:
    memberships = np.array([[1.0, 0.0]] * 4)
    full, empty = profiles(graph_of(LINKS), memberships, ITEMS, TAGS, **SAY_ALL)
    assert (empty["users"], empty["share"], empty["activity"], empty["hidden"]) == (0, 0.0, None, True)
    assert full["activity"] == 1.5


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match=r"'memberships' must be \[4, S\]"):
        profiles(graph_of(LINKS), np.ones((3, 2)), ITEMS)
    with pytest.raises(ConfigError, match=r"'memberships' must be \[4, S\]"):
        merge_small(graph_of(LINKS), np.ones((3, 2)))
    with pytest.raises(ConfigError, match=r"'vectors' must be one a user, 4 \(got 3\)"):
        profiles(graph_of(LINKS), MEMBERSHIPS, ITEMS, vectors=np.eye(3), user_ids=list("abcd"), **SAY_ALL)
