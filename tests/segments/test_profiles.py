import numpy as np
import pytest

from gnnseg.segments.profiles import PRIOR, profiles
from tests.segments.planted import graph_of, plant

ITEMS = ["Alien", "Brazil", "Casablanca"]
TAGS = [["horror", "space"], ["space"], []]
LINKS = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 1]])
MEMBERSHIPS = np.array([[1.0, 0.0], [0.75, 0.25], [0.0, 1.0], [0.5, 0.5]])


def by_name(entries: list[dict[str, object]]) -> dict[object, object]:
    assert all(set(entry) == {"name", "lift"} for entry in entries)
    return {entry["name"]: entry["lift"] for entry in entries}


def test_by_hand() -> None:
    first, second = profiles(graph_of(LINKS), MEMBERSHIPS, ITEMS, TAGS)
    # links of segment 0: Alien 1 + .75, Brazil 1, Casablanca .5, together 3.25 of all 6 links
    assert PRIOR == 20
    lifts = {
        "Alien": (1.75 + 20) / (2 * 3.25 / 6 + 20),
        "Brazil": (1 + 20) / (2 * 3.25 / 6 + 20),
        "Casablanca": (0.5 + 20) / (2 * 3.25 / 6 + 20),
    }
    assert by_name(first["profile"]["likes"]) == {name: round(lift, 3) for name, lift in lifts.items()}
    assert [entry["name"] for entry in first["profile"]["likes"]] == ["Alien", "Brazil", "Casablanca"]
    assert first["profile"]["typical"] == ["Alien", "Brazil", "Casablanca"]
    assert second["profile"]["typical"] == ["Casablanca", "Brazil", "Alien"]
    # tags of segment 0: horror 1.75 of 2, space 2.75 of 4, together 4.5 of 6
    assert by_name(first["profile"]["tags"]) == {"horror": round(21.75 / 21.5, 3)}
    assert by_name(first["profile"]["avoids"]) == {"space": round(22.75 / 23, 3)}
    assert by_name(second["profile"]["tags"]) == {"space": round(21.25 / 21, 3)}
    assert by_name(second["profile"]["avoids"]) == {"horror": round(20.25 / 20.5, 3)}
    assert (first["segment"], first["users"], first["share"]) == (0, 3, 0.75)
    assert (second["segment"], second["users"], second["share"]) == (1, 1, 0.25)
    assert first["activity"] == pytest.approx(4 / 3)
    assert second["activity"] == 2


@pytest.mark.parametrize("tags", [None, [[], [], []]])
def test_without_tags(tags: list[list[str]] | None) -> None:
    for segment in profiles(graph_of(LINKS), MEMBERSHIPS, ITEMS, tags):
        assert set(segment["profile"]) == {"likes", "typical"}


@pytest.mark.parametrize("top", [1, 2])
def test_top(top: int) -> None:
    for segment in profiles(graph_of(LINKS), MEMBERSHIPS, ITEMS, TAGS, top=top):
        assert len(segment["profile"]["likes"]) == len(segment["profile"]["typical"]) == top
        assert len(segment["profile"]["tags"]) <= top


def test_a_planted_genre_is_found() -> None:
    planted = plant(seed=2)
    links = planted.graph.biadjacency().toarray()
    favourite = np.stack([links[planted.groups == g].sum(0) for g in range(3)]).argmax(0)
    tags = [[f"genre {group}", "film"] for group in favourite]
    names = [f"item {i} of {group}" for i, group in enumerate(favourite)]
    found = profiles(planted.graph, np.eye(3)[planted.groups], names, tags)
    assert sum(segment["users"] for segment in found) == 90
    assert sum(segment["share"] for segment in found) == pytest.approx(1)
    for group, segment in enumerate(found):
        assert segment["segment"] == group
        assert segment["users"] == (planted.groups == group).sum()
        assert segment["activity"] == pytest.approx(links[planted.groups == group].sum(1).mean())
        liked = segment["profile"]["tags"]
        assert liked[0]["name"] == f"genre {group}"
        assert liked[0]["lift"] > 2
        assert {entry["name"] for entry in segment["profile"]["avoids"]} >= {
            f"genre {other}" for other in range(3) if other != group
        }
        assert all(entry["name"].endswith(f"of {group}") for entry in segment["profile"]["likes"])


def test_most_and_least_typical_tags_come_first() -> None:
    tags = [["a"], ["b"], ["c"], ["d"]]
    links = np.array([[1, 1, 1, 0]] * 30 + [[0, 0, 1, 1]] * 50 + [[0, 1, 0, 1]] * 40)
    memberships = np.repeat(np.eye(2), [30, 90], axis=0)
    first = profiles(graph_of(links), memberships, ["A", "B", "C", "D"], tags, top=1)[0]["profile"]
    assert [entry["name"] for entry in first["tags"]] == ["a"]
    assert [entry["name"] for entry in first["avoids"]] == ["d"]
    lifts = profiles(graph_of(links), memberships, ["A", "B", "C", "D"], tags, top=4)[1]["profile"]
    assert [entry["name"] for entry in lifts["tags"]] == ["d"]
    assert [entry["name"] for entry in lifts["avoids"]] == ["a", "b", "c"]


def test_a_segment_without_users() -> None:
    memberships = np.array([[1.0, 0.0]] * 4)
    empty = profiles(graph_of(LINKS), memberships, ITEMS, TAGS)[1]
    assert (empty["users"], empty["share"], empty["activity"]) == (0, 0.0, 0.0)
    assert all(entry["lift"] == 1 for entry in empty["profile"]["likes"])
    assert empty["profile"]["tags"] == empty["profile"]["avoids"] == []
