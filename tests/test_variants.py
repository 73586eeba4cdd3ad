from __future__ import annotations

import functools
from typing import Any

import pytest

from gnnseg.config import Config, load_config
from gnnseg.errors import ConfigError
from gnnseg.variants import HEADS, LOCAL_MODELS, MAX_MEMBERS, PLAIN, Variant, variants
from tests.runs import FULL, on_data
from tests.runs import PLAIN as ENCODER

LOCAL: dict[str, Any] = {
    **ENCODER,
    "train": {"epochs": 0},
    "segmenter": {"name": "KMeans", "num_segments": 3},
}
CONTROLS = ["random segments", "ensemble", "one segment"]

SYSTEMS: dict[str, dict[str, Any]] = {
    "head": FULL,
    "local": {**LOCAL, "local": "Lift"},
    "both": {**FULL, "local": "LocalItems"},
    "hard": {**LOCAL, "local": "Lift", "segmenter": {"name": "Hard", "of": "KMeans"}},
    "views": {**LOCAL, "local": "Lift", "segmenter": "Views"},
    "twins": {
        **FULL,
        "segmenter": {
            "name": "Consensus",
            "views": [{"name": "Leiden", "resolution": r} for r in (0.5, 1.0, 2.0)],
        },
    },
    "one": {**FULL, "segmenter": "OneSegment", "head": "Shared"},
    "its own head": {**FULL, "head": "GroupMLP", "local": "Lift", "loss": "BinaryCrossEntropy"},
}


@functools.cache
def system(name: str) -> Config:
    return load_config(on_data(SYSTEMS[name], name="mine", search={"encoder.dim": [8, 16]}))


@functools.cache
def named(name: str, num_segments: int = 3) -> dict[str, Variant]:
    rows = variants(system(name), num_segments)
    assert len({row.name for row in rows}) == len(rows)
    return {row.name: row for row in rows}


@pytest.mark.parametrize("name", SYSTEMS)
def test_rows(name: str) -> None:
    rows = list(named(name).values())
    names = [row.name for row in rows]
    assert (names[0], names[-1]) == ("global", "full")
    assert [row.role for row in (rows[0], rows[-1])] == ["global", "full"]
    inner = [row.role for row in rows[1:-1]]
    assert inner == sorted(inner)  # controls, then parts
    assert set(inner) == {"control", "part"}
    assert [n for n in names if n in CONTROLS] == CONTROLS
    for row in rows:
        assert row.about
        assert row.config.name == row.name
        assert row.config.search == {}
        if row.role == "control":  # all were checked when they were made
            assert Config.model_validate(row.config.resolved()) == row.config
        assert (row.members > 1) == (row.name == "ensemble")


@pytest.mark.parametrize("name", ["head", "twins"])
def test_names_do_not_depend_on_how_many_segments_there_are(name: str) -> None:
    assert list(named(name, 1)) == list(named(name)) == list(named(name, 50))


@pytest.mark.parametrize("name", SYSTEMS)
def test_full_is_the_system_and_global_has_no_segments(name: str) -> None:
    rows, own = named(name), system(name).resolved()
    assert rows["full"].config.resolved() == {**own, "name": "full", "search": {}}
    none = {"segmenter": None, "head": None, "local": None}
    for row in ("global", "ensemble"):
        assert rows[row].config.resolved() == {**own, "name": row, "search": {}, **none}


def test_rows_of_a_head() -> None:
    rows = named("head")
    assert list(rows)[1] == "more steps"
    steps = rows["more steps"].config
    assert (steps.segmenter, steps.head) == ({"name": "OneSegment", "copies": 1}, {"name": "Shared"})
    assert steps.fine_tune.encoder_rate == 1
    assert steps.fine_tune.epochs == FULL["fine_tune"]["epochs"]
    assert {"Leiden only", "KMeans only", "hard segments"} < set(rows)
    assert "consensus" not in rows
    assert {*HEADS, *LOCAL_MODELS} - set(rows) == {"FiLM"}
    for name in LOCAL_MODELS:
        assert rows[name].config.head is None
        assert rows[name].config.local is not None


def test_rows_of_a_local_model() -> None:
    rows = named("local")
    assert "more steps" not in rows
    assert {"Leiden only", "consensus", "hard segments"} < set(rows)
    assert "KMeans only" not in rows  # that is the full system
    assert {*HEADS, *LOCAL_MODELS} - set(rows) == {"Lift"}


def test_rows_of_a_head_and_a_local_model() -> None:
    rows = named("both")
    assert {*HEADS, *LOCAL_MODELS} <= set(rows)
    own = system("both")
    assert rows["FiLM"].config.head == own.head
    assert rows["FiLM"].config.local is None
    assert rows["LocalItems"].config.local == own.local
    assert rows["LocalItems"].config.head is None


def test_a_head_that_is_none_of_the_usual_ones_has_a_row() -> None:
    row = named("its own head")["GroupMLP"]
    assert row.config.head == system("its own head").head
    assert row.config.local is None


def test_the_plain_pipeline_is_the_shipped_one_on_the_texts_of_the_config() -> None:
    """All that shapes the model is as in the config that ships, but for data and texts."""
    row, shipped = named("head")[PLAIN], load_config("movielens/plain-segments")
    found = row.config.resolved()
    assert found["text"] == system("head").resolved()["text"]
    assert row.role == "part"
    own = {"name", "dataset", "device", "seed", "text"}
    assert {k: v for k, v in found.items() if k not in own} == {
        k: v for k, v in shipped.resolved().items() if k not in own
    }
    assert PLAIN not in named("local")  # which has no texts


def test_views_of_one_class_are_numbered() -> None:
    rows = named("twins")
    assert [n for n in rows if n.endswith("only")] == ["Leiden only", "Leiden 2 only", "Leiden 3 only"]
    found = [rows[n].config.segmenter["resolution"] for n in rows if n.endswith("only")]  # type: ignore[index]
    assert found == [0.5, 1.0, 2.0]


def test_hard_segments_have_no_harder_ones() -> None:
    assert "hard segments" not in named("hard")


def test_controls() -> None:
    rows, own = named("head", 5), system("head")
    assert rows["random segments"].config.segmenter == {
        "name": "Random",
        "num_segments": 6,
        "like": own.segmenter,
    }
    assert rows["one segment"].config.segmenter == {"name": "OneSegment", "copies": 5}
    for name in ("random segments", "one segment"):
        assert rows[name].config.head == own.head
    assert rows["ensemble"].members == 5
    assert named("head", 100)["ensemble"].members == MAX_MEMBERS


@pytest.mark.parametrize("content", [ENCODER, {"baseline": "Popularity"}], ids=["encoder", "baseline"])
def test_no_segments(content: dict[str, Any]) -> None:
    with pytest.raises(
        ConfigError, match="'plain' has no segments to ablate; give it a segmenter and a head or"
    ):
        variants(load_config(on_data(content, name="plain")), 3)
