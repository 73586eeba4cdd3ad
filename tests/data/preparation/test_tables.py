"""Prepared data are those that the tables and filters give in memory, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnseg.data import Dataset, Filters
from gnnseg.data.preparation import columns, prepare_tables, ranges
from gnnseg.data.preparation.folder import read_folder, write_about
from gnnseg.data.preparation.ranges import Ranks
from gnnseg.data.sources import Table
from gnnseg.data.sources import parts as reading
from gnnseg.errors import DataError
from gnnseg.manifest import seal

COLUMNS = {"rating": "rating", "time": "time"}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pieces, blocks and ranges even of a few rows."""
    monkeypatch.setattr(columns, "BLOCK", 7)
    monkeypatch.setattr(ranges, "ROWS", 5)
    monkeypatch.setattr("gnnseg.data.preparation.folder.BLOCK", 3)
    monkeypatch.setattr(reading, "PIECE", 11)


def frame(rows: int, seed: int = 0) -> pl.DataFrame:
    """Users and items with many repeated pairs, equal times among them."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "user": [f"u{int(n)}" for n in rng.random(rows) ** 2 * 14],
            "item": [f"i{int(n)}" for n in rng.random(rows) ** 2 * 9],
            "rating": rng.integers(1, 11, rows) / 2,
            "time": rng.integers(1_500_000_000, 1_500_000_005, rows),
        }
    )


def write(folder: Path, table: pl.DataFrame, **options: Any) -> Table:
    table.write_parquet(folder / "rows.parquet")
    return Table(folder, interactions="rows.parquet", **options)


def prepared(source: Table, filters: Filters, folder: Path) -> Dataset:
    folder.mkdir()
    sizes = prepare_tables(source, filters, "name", folder)
    assert not (folder / "scratch").exists()
    write_about(folder, sizes, {})
    seal(folder)
    dataset = read_folder(folder, "name")
    assert sizes == {
        "users": dataset.num_users,
        "items": dataset.num_items,
        "interactions": len(dataset.interactions),
    }
    return dataset


def assert_same(ours: Dataset, theirs: Dataset) -> None:
    assert ours.digest == theirs.digest
    for name in ("users", "items", "weights", "times"):
        mine, other = getattr(ours.interactions, name), getattr(theirs.interactions, name)
        assert (mine is None) == (other is None)
        assert mine is None or mine.dtype == other.dtype
    assert (ours.texts, ours.titles, ours.tags) == (theirs.texts, theirs.titles, theirs.tags)
    assert (ours.user_table is None) == (theirs.user_table is None)
    if ours.user_table is not None and theirs.user_table is not None:
        assert ours.user_table.equals(theirs.user_table)


FILTERS: list[dict[str, Any]] = [
    {},
    {"duplicates": "first"},
    {"min_user_items": 4, "min_item_users": 7},
    {"min_rating": 3},
    {"min_rating": 2.5, "duplicates": "first", "min_user_items": 3, "min_item_users": 6},
]
OPTIONS: list[dict[str, str]] = [{}, {"rating": "rating"}, {"time": "time"}, COLUMNS]


@pytest.mark.parametrize(
    ("filters", "options"),
    [(f, o) for f in FILTERS for o in OPTIONS if "rating" in o or "min_rating" not in f],
)
def test_same_as_in_memory(tmp_path: Path, filters: dict[str, Any], options: dict[str, str]) -> None:
    kept = Filters(**filters)
    source = write(tmp_path, frame(140), **options)
    expected = kept.apply(source.load("name"))
    assert ("min_item_users" in filters) == (expected.num_items < 9 and expected.num_users < 14)
    assert_same(prepared(source, kept, tmp_path / "out"), expected)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 60),
    least=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    duplicates=st.sampled_from(["last", "first", "error"]),
)
def test_same_as_in_memory_or_the_same_error(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rows: int, least: tuple[int, int], duplicates: Any
) -> None:
    folder = tmp_path_factory.mktemp("any")
    filters = Filters(min_user_items=least[0], min_item_users=least[1], duplicates=duplicates)
    source = write(folder, frame(rows, seed), **COLUMNS)
    expected = outcome(lambda: filters.apply(source.load("name")))
    found = outcome(lambda: prepared(source, filters, folder / "out"))
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
    else:
        assert_same(found, expected)


def outcome(load: Callable[[], Dataset]) -> Dataset | str:
    try:
        return load()
    except DataError as error:
        return str(error)


def test_what_is_known_of_items_and_users(tmp_path: Path) -> None:
    names = [f"i{n}" for n in range(9)]
    labels = ["a|b", "", None, "c"] * 2 + ["a"]
    pl.DataFrame({"item": names, "title": names[::-1], "year": range(9), "tags": labels}).write_csv(
        tmp_path / "items.csv"
    )
    pl.DataFrame({"user": ["u1", "u2", "u77"], "age": [20, None, 30], "city": ["x", "y", "z"]}).write_parquet(
        tmp_path / "users.parquet"
    )
    more = {"items": "items.csv", "users": "users.parquet", "text": ["title", "year"], "tags": "tags"}
    filters = Filters(min_user_items=3, min_item_users=6)
    source = write(tmp_path, frame(100), **COLUMNS, **more)
    expected = filters.apply(source.load("name"))
    assert expected.texts
    assert expected.tags
    assert expected.user_table is not None
    assert_same(prepared(source, filters, tmp_path / "out"), expected)


def units(table: pl.DataFrame, unit: str) -> pl.DataFrame:
    time = pl.col("time")
    kinds = {
        "milliseconds": time * 1000 + 1,
        "text": pl.from_epoch(time).dt.to_string("%Y-%m-%dT%H:%M:%S.7"),
        "fractions": time + 0.75,
        "before 1970": time * -1 - 0.5,
        "mixed": pl.when(pl.int_range(pl.len()) % 20 < 13)
        .then((time * 1000).cast(pl.String))
        .otherwise(pl.from_epoch(time).dt.to_string("%Y-%m-%dT%H:%M:%S")),
    }
    return table.with_columns(kinds[unit].alias("time"))


@pytest.mark.parametrize("unit", ["milliseconds", "text", "fractions", "before 1970", "mixed"])
def test_units_of_time(tmp_path: Path, unit: str) -> None:
    source = write(tmp_path, units(frame(90), unit), **COLUMNS)
    expected = Filters().apply(source.load("name"))
    assert_same(prepared(source, Filters(), tmp_path / "out"), expected)


def test_bad_rows_that_are_skipped(tmp_path: Path) -> None:
    """Among them times that only all times together show to be none, and an id that only such a row has."""
    table = frame(80).with_columns(pl.col("time").cast(pl.String), pl.col("rating").cast(pl.String))
    rows = table.rows()
    rows[3] = ("u1", "i1", "4", "9e12")
    rows[30] = ("only", "i1", "4", "-9e13")
    rows[31] = ("u1", "i1", "x", "1500000000")
    rows[50] = (None, "i1", "3", "1500000000")
    bad = pl.DataFrame(rows, schema=table.schema, orient="row")
    source = write(tmp_path, bad, **COLUMNS, on_bad_rows="skip")
    expected = Filters().apply(source.load("name"))
    told = source.problems.bad_rows
    again = write(tmp_path, bad, **COLUMNS, on_bad_rows="skip")
    assert "only" not in expected.users
    assert_same(prepared(again, Filters(), tmp_path / "out"), expected)
    assert again.problems.bad_rows == told


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("u", "i", "4", "1e13"), "row 81: 'time' must be epoch seconds"),
        (("u", "i", "nan", "1500000000"), "row 81: 'rating' must be a finite number"),
        (("u", None, "4", "1500000000"), "row 81: 'item' must hold an id"),
    ],
)
def test_bad_rows_that_are_errors(tmp_path: Path, row: tuple[str | None, ...], problem: str) -> None:
    table = frame(80).with_columns(pl.col("time").cast(pl.String), pl.col("rating").cast(pl.String))
    bad = pl.concat([table, pl.DataFrame([row], schema=table.schema, orient="row")])
    with pytest.raises(DataError, match=problem):
        prepared(write(tmp_path, bad, **COLUMNS), Filters(), tmp_path / "out")


def test_ratings_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'min_rating' needs ratings"):
        prepared(write(tmp_path, frame(20)), Filters(min_rating=3), tmp_path / "out")


def test_a_folder_of_spark(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    folder.mkdir()
    table = frame(90)
    for number, start in enumerate(range(0, 90, 30)):
        name = f"part-{number:05}-b3b1c2d4-c000.snappy.parquet"
        table[start : start + 30].write_parquet(folder / name, compression="snappy")
        (folder / f".{name}.crc").write_bytes(b"crc\x00\x01")
    table.clear().write_parquet(folder / "part-00003-b3b1c2d4-c000.snappy.parquet", compression="snappy")
    (folder / "_SUCCESS").touch()
    (folder / "._SUCCESS.crc").write_bytes(b"crc\x00")
    table.clear().write_parquet(folder / "_metadata")
    table.clear().write_parquet(folder / "_common_metadata")
    expected = Filters().apply(write(tmp_path, table, **COLUMNS).load("name"))
    source = Table(tmp_path, interactions="job", **COLUMNS)
    assert_same(prepared(source, Filters(), tmp_path / "out"), expected)


def test_arrays_are_a_matrix_that_numpy_maps(tmp_path: Path) -> None:
    source = write(tmp_path, frame(100), **COLUMNS)
    dataset = prepared(source, Filters(), tmp_path / "out")
    matrix = dataset.interactions.matrix(dataset.num_users, dataset.num_items)
    starts, items, places = (
        np.load(tmp_path / "out" / f"{name}.npy", mmap_mode="r") for name in ("starts", "items", "places")
    )
    assert items.dtype == np.int32
    assert np.array_equal(starts, matrix.indptr)
    assert np.array_equal(items, matrix.indices)
    assert np.array_equal(dataset.interactions.items[places], items)


def test_ranks() -> None:
    rng = np.random.default_rng(0)
    there = rng.random(1003) < 0.4
    places = np.flatnonzero(there)
    found = Ranks(np.packbits(there, bitorder="little"))
    assert np.array_equal(found.of(places), np.arange(len(places)))
    mixed = rng.permutation(places)
    assert np.array_equal(found.of(mixed), np.searchsorted(places, mixed))


@pytest.mark.parametrize("name", ["items.npy", "starts.npy", "users.parquet", "prepared.json"])
def test_a_part_that_is_changed_is_refused(tmp_path: Path, name: str) -> None:
    prepared(write(tmp_path, frame(50)), Filters(), tmp_path / "out")
    content = bytearray((tmp_path / "out" / name).read_bytes())
    content[-1] ^= 1
    (tmp_path / "out" / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}' is damaged: .*; prepare .* again"):
        read_folder(tmp_path / "out", "name")


def test_lengths_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    prepared(write(tmp_path, frame(50)), Filters(), tmp_path / "out")
    np.save(tmp_path / "out" / "places.npy", np.arange(3, dtype=np.int32))
    seal(tmp_path / "out")
    with pytest.raises(DataError, match=r"'places.npy' must have \d+ numbers \(got \(3,\)\)"):
        read_folder(tmp_path / "out", "name")
