from __future__ import annotations

from pathlib import Path

import pytest

from gnnseg.config import load_config
from gnnseg.data.archive import read_member
from gnnseg.data.sources import AdjacencyLists, Table
from gnnseg.errors import ConfigError, DataError
from tests.data.sources.malformed import archives, configs, lists, tables

TABLES, LISTS, CONFIGS, ARCHIVES = tables(), lists(), configs(), archives()

LONGEST = 1200
"""Characters of a message, whatever the file holds."""

CLEAN = {
    **dict.fromkeys(
        ("good.csv", "no newline at the end.csv", "bom.csv", "crlf.csv", "blank at the end.csv"), 2
    ),
    **dict.fromkeys(("one user.csv", "one item.csv", "good.tsv", "good.csv.gz", "plain.csv.gz"), 2),
    **dict.fromkeys(("plain.csv.zst", "good.jsonl"), 2),
    **dict.fromkeys(("same column twice.csv", "unnamed column.csv", "spaces.csv", "long line.csv"), 1),
    **dict.fromkeys(("twice.jsonl", "blank.jsonl"), 1),
    **dict.fromkeys(("mixed ends.csv", "duplicates.csv"), 3),
    "bomb.csv.gz": 100_000,
    **{f"rating {name}.csv": 2 for name in ("large", "tiny", "plus")},
    **{f"time {name}.csv": 2 for name in ("tiny", "plus", "date", "iso")},
    **{f"{column} {place}.csv": 2 for column in ("user", "item") for place in range(4, 14)},
}
"""Interactions of the tables that can be used as they are; all others are refused."""

SAYS = {
    "rating word.csv": "row 2: 'rating' must be a finite number (got 'good')",
    "rating inf.csv": "row 2: 'rating' must be a finite number",
    "time month 13.csv": "row 2: 'time' must be epoch seconds, epoch milliseconds or an ISO 8601 time",
    "user 0.csv": "row 2: 'user' must hold an id",
    "item 3.csv": "row 2: 'item' must hold an id",
    "latin-1.csv": "line 2 must be UTF-8",
    "too many fields.csv": "line 3 must have at most the header's 4 fields",
    "too few fields.csv": "row 2: 'rating' must be a finite number (got None)",
    "open quote.csv": "line 3 must close its quotes",
    "blank between.csv": "row 2: 'user' must hold an id",
    "cut.jsonl": "line 2 must be a JSON object",
    "nan.jsonl": "line 1 must be a JSON object",
    "latin-1.jsonl": "line 1 must be UTF-8",
    "header only.csv": "has no rows",
    "zeros.csv": "unknown column 'user'",
    "cut.csv.gz": "unexpected end of file",
}


def one_line(error: Exception, name: str) -> str:
    message = str(error)
    assert name in message
    assert "\n" not in message
    assert len(message) < LONGEST
    return message


def test_there_are_many() -> None:
    assert len(TABLES) + len(LISTS) + len(CONFIGS) + len(ARCHIVES) >= 200
    assert CLEAN.keys() | SAYS.keys() <= TABLES.keys()


@pytest.mark.parametrize("name", TABLES)
def test_table(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(TABLES[name])
    table = Table(tmp_path, interactions=name, rating="rating", time="time")
    if name in CLEAN:
        assert len(table.load("x").interactions) == CLEAN[name]
        return
    with pytest.raises(DataError) as caught:
        table.load("x")
    assert SAYS.get(name, "") in one_line(caught.value, name)


@pytest.mark.parametrize("name", sorted(TABLES.keys() - CLEAN))
def test_table_without_its_bad_rows(name: str, tmp_path: Path) -> None:
    """Either some rows are good, or one line says why none is."""
    (tmp_path / name).write_bytes(TABLES[name])
    table = Table(tmp_path, interactions=name, rating="rating", time="time", on_bad_rows="skip")
    try:
        found = len(table.load("x").interactions)
    except DataError as error:
        one_line(error, name)
    else:
        assert found
        assert table.problems.total


@pytest.mark.parametrize("name", LISTS)
def test_lists(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(LISTS[name])
    (tmp_path / "test").write_bytes(b"0 3\n")
    source = AdjacencyLists(tmp_path, train=name, test="test")
    clean = {
        "good": 4,
        "crlf": 4,
        "same twice": 4,
        "no newline": 3,
        "tabs": 3,
        "negative": 3,
        "underscore": 2,
    }
    if name in clean:
        assert len(source.load("x").interactions) == clean[name]
        return
    with pytest.raises(DataError) as caught:
        source.load("x")
    one_line(caught.value, name)


@pytest.mark.parametrize("name", CONFIGS)
def test_config(name: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(CONFIGS[name])
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "c.yaml")
    one_line(caught.value, "passwd" if name == "climbing" else "c.yaml")


@pytest.mark.parametrize("name", ARCHIVES)
def test_archive(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(ARCHIVES[name])
    if name == "good":
        assert read_member(tmp_path / name, "a", 1000) == b"hello" * 50
        return
    with pytest.raises(DataError) as caught:
        read_member(tmp_path / name, "a", 1_000_000)
    one_line(caught.value, name)
