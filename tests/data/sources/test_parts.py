"""Tables in several files, pieces and formats, and files that are malformed or change."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gnnseg.data.dataset import Dataset
from gnnseg.data.sources import Table, parts
from gnnseg.errors import DataError
from tests.data.sources.test_limits import zstandard
from tests.data.sources.test_table import zstd

ROWS = 60


@pytest.fixture
def rows() -> list[tuple[str, str, float, int]]:
    rng = np.random.default_rng(0)
    users, items = rng.integers(20, size=ROWS), rng.integers(12, size=ROWS)
    return [(f"u{users[n]}", f"i{items[n]}", float(n % 5), 1000 + n) for n in range(ROWS)]


def frame(rows: list[tuple[str, str, float, int]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["user", "item", "rating", "time"], orient="row")


def load(folder: Path, name: str, **options: object) -> Dataset:
    return Table(folder, interactions=name, rating="rating", time="time", **options).load("d")  # type: ignore[arg-type]


def assert_holds(dataset: Dataset, rows: list[tuple[str, str, float, int]]) -> None:
    """Against an own numbering: ids sorted as Python sorts text."""
    users, items = (sorted({row[column] for row in rows}) for column in (0, 1))
    assert dataset.users.ids == tuple(users)
    assert dataset.items.ids == tuple(items)
    found = dataset.interactions
    assert found.users.tolist() == [users.index(row[0]) for row in rows]
    assert found.items.tolist() == [items.index(row[1]) for row in rows]
    assert found.weights.tolist() == [row[2] for row in rows]
    assert found.times.tolist() == [row[3] for row in rows]
    assert {found.users.dtype, found.items.dtype, found.times.dtype} == {np.dtype(np.int64)}


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_pieces_do_not_show(
    tmp_path: Path, rows: list, piece: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "PIECE", piece)
    write = {"csv": "write_csv", "parquet": "write_parquet", "jsonl": "write_ndjson"}[name[2:]]
    getattr(frame(rows), write)(tmp_path / name)
    assert_holds(load(tmp_path, name), rows)


@pytest.mark.parametrize("name", ["days", "days/*", "days/**/*.*", "d[a]ys/*"])
def test_files_are_read_in_the_order_of_their_paths(tmp_path: Path, rows: list, name: str) -> None:
    (tmp_path / "days").mkdir()
    frame(rows[40:]).write_ndjson(tmp_path / "days" / "3.jsonl")
    frame(rows[:15]).write_parquet(tmp_path / "days" / "1.parquet")
    packed = gzip.compress(frame(rows[15:40]).write_csv().encode(), mtime=0)
    (tmp_path / "days" / "2.csv.gz").write_bytes(packed)
    assert_holds(load(tmp_path, name), rows)
    assert_holds(load(tmp_path / "elsewhere", str(tmp_path / name)), rows)


def test_a_folder_leaves_out_what_is_no_table(tmp_path: Path, rows: list) -> None:
    (tmp_path / "days" / "_temporary").mkdir(parents=True)
    frame(rows).write_csv(tmp_path / "days" / "1.csv")
    for name in ("_SUCCESS", ".1.csv.crc", "readme.txt", ".hidden.csv", "_temporary/2.csv"):
        (tmp_path / "days" / name).write_text("no table\n")
    assert_holds(load(tmp_path, "days"), rows)


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"cannot read '.*empty': this folder has no csv, tsv, jsonl or parq"):
        load(tmp_path, "empty")
    with pytest.raises(DataError, match=r"cannot read '.*\*\.csv': no file has such a name"):
        load(tmp_path, "*.csv")


def test_ids_are_one_across_formats_and_types(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("user,item\n1,x\n2,x\n")
    pl.DataFrame({"user": [1, 2], "item": ["x", "y"]}).write_parquet(tmp_path / "2.parquet")
    pl.DataFrame({"user": [1.0, 2.5, None], "item": "x"}).write_parquet(tmp_path / "3.parquet")
    (tmp_path / "4.jsonl").write_text('{"user": 1, "item": "x"}\n{"user": 2.0, "item": "y"}\n')
    found = Table(tmp_path, interactions="*", on_bad_rows="skip").load("d")
    assert found.users.ids == ("1", "2", "2.5")
    assert found.interactions.users.tolist() == [0, 1, 0, 1, 0, 2, 0, 1]


def test_a_bad_row_is_told_with_its_file_and_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PIECE", 2)
    good = "user,item,rating,time\n" + "a,b,1,1\n" * 5
    (tmp_path / "1.csv").write_text(good)
    (tmp_path / "2.csv").write_text(good + "a,b,x,1\n" + "a,b,1,1\n")
    with pytest.raises(DataError, match=r"2\.csv' row 6: 'rating' must be a finite number \(got 'x'\)"):
        load(tmp_path, "*.csv")


def test_blank_rows_count_but_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for piece in (1, 2, 100):
        monkeypatch.setattr(parts, "PIECE", piece)
        (tmp_path / "t.csv").write_text("user,item,rating,time\na,b,1,1\n\n\na,c,2,1\n\n\n\n")
        table = Table(tmp_path, interactions="t.csv", on_bad_rows="skip")
        assert len(table.load("d").interactions) == 2
        (bad,) = table.problems.bad_rows.values()
        assert [row["row"] for row in bad.first] == [2, 3]


MALFORMED = [
    ("t.csv", b"user,item,rating,time\na,b,1,1\na,c,1,1,9\na,d,1,1\n", 3, 2, "at most the header's 4 fields"),
    ("t.tsv", b"user\titem\trating\ttime\na\tb\t1\t1\na\t\xe9\t1\t1\na\td\t1\t1\n", 3, 2, "must be UTF-8"),
    ("t.csv", b'user,item,rating,time\na,"b",1,1\na,d,1,1\na,"c,1,1\n', 4, 3, "must close its quotes"),
    (
        "t.jsonl",
        b'{"user":"a","item":"b","rating":1,"time":1}\n{"user"\n{"user":"a","item":"d","rating":1,"time":1}\n',
        2,
        2,
        "must be a JSON object",
    ),
    (
        "t.jsonl",
        b'{"user":"a","item":"b","rating":1,"time":1}\n[1]\n{"user":"a","item":"d","rating":1,"time":1}\n',
        2,
        2,
        "must be a JSON object",
    ),
]


@pytest.mark.parametrize(("name", "content", "line", "row", "rule"), MALFORMED)
@pytest.mark.parametrize("packed", [False, True])
def test_malformed_rows(
    tmp_path: Path, name: str, content: bytes, line: int, row: int, rule: str, packed: bool
) -> None:
    name = name + ".gz" if packed else name
    (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if packed else content)
    with pytest.raises(DataError, match=rf"cannot read '.*{name}': line {line} .*{rule}"):
        load(tmp_path, name)
    table = Table(tmp_path, interactions=name, rating="rating", time="time", on_bad_rows="skip")
    assert table.load("d").items.ids == ("b", "d")
    (bad,) = table.problems.bad_rows.values()
    assert rule in bad.rule
    assert (bad.total, bad.first[0]["row"], bad.first[0]["line"]) == (1, row, line)


def test_rows_keep_their_numbers_without_those_that_are_none(tmp_path: Path) -> None:
    content = "user,item,rating,time\na,b,1,1,1\na,b,x,1\na,b,1,1,1\na,b,1,1,1\na,b,y,1\na,b,1,1\n"
    (tmp_path / "t.csv").write_text(content)
    table = Table(tmp_path, interactions="t.csv", rating="rating", time="time", on_bad_rows="skip")
    table.load("d")
    malformed, numbers = table.problems.bad_rows.values()
    assert [row["row"] for row in malformed.first] == [1, 3, 4]
    assert [row["row"] for row in numbers.first] == [2, 5]


@pytest.mark.parametrize("compress", [gzip.compress, zstd], ids=["gz", "zst"])
@pytest.mark.parametrize(
    ("row", "says"),
    [
        (b"a,b,1,1,1", "line 4 must have at most the header's 4 fields"),
        (b"a,\xff,1,1", "line 4 must be UTF-8"),
        ("a,\ufffd,1,1,1".encode(), "line 4 must have at most the header's 4 fields"),
        ("a,\ufffd,1,1\na,b,1,1,1".encode(), "line 5 must have at most the header's 4 fields"),
        (b'a,"b,1,1', "line 5 must close its quotes"),
    ],
)
def test_compressed_tables_tell_the_line(
    tmp_path: Path, compress: Callable[[bytes], bytes], row: bytes, says: str
) -> None:
    name = f"t.csv.{'gz' if compress is gzip.compress else 'zst'}"
    lines = [b"user,item,rating,time", b"a,b,1,1", b"d,b,1,1", row, b"c,e,1,1"]
    (tmp_path / name).write_bytes(compress(b"\n".join(lines) + b"\n"))
    with pytest.raises(DataError, match=rf"cannot read '.*{name}': {says}"):
        load(tmp_path, name)
    if "quotes" not in says and b"1,1\n" not in row:
        assert load(tmp_path, name, on_bad_rows="skip").items.ids == ("b", "e")


@pytest.mark.parametrize(
    ("compress", "damage"),
    [(gzip.compress, "cut"), (gzip.compress, "flipped"), (zstandard, "cut")],  # without a checksum there
    ids=["gz cut", "gz flipped", "zst cut"],
)
def test_rows_that_are_skipped_hide_no_damage(
    tmp_path: Path, compress: Callable[[bytes], bytes], damage: str
) -> None:
    """A bad row at the beginning, and an end that cannot be unpacked: not a table of what comes before."""
    rng = np.random.default_rng(0)
    rows = b"".join(b"u%d,i%d,1,1\n" % (a, b) for a, b in rng.integers(1_000_000, size=(30_000, 2)))
    content = compress(b"user,item,rating,time\na,b,1,1,1\n" + rows)
    middle = len(content) // 2
    broken = content[:middle] if damage == "cut" else content[:middle] + bytes(9) + content[middle + 9 :]
    name = f"t.csv.{'gz' if compress is gzip.compress else 'zst'}"
    (tmp_path / name).write_bytes(broken)
    with pytest.raises(DataError, match=rf"cannot read '.*{name}'"):
        load(tmp_path, name, on_bad_rows="skip")


@pytest.mark.parametrize("times", [[1e300, 1, 2], [1.6e18, 1.6e18, 1e300, 1.6e18]])
def test_a_time_that_is_none_in_the_unit_of_the_others(tmp_path: Path, times: list[float]) -> None:
    bad = times.index(1e300)
    table = pl.DataFrame({"user": "a", "item": [f"i{n}" for n in range(len(times))], "time": times})
    table.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=rf"row {bad + 1}: 'time' must be epoch"):
        Table(tmp_path, interactions="t.parquet", time="time").load("d")
    found = Table(tmp_path, interactions="t.parquet", time="time", on_bad_rows="skip").load("d")
    assert f"i{bad}" not in found.items.ids
    assert found.interactions.times.tolist() == [
        int(t / (1e9 if t > 1e17 else 1)) for t in times if t != 1e300
    ]


@pytest.mark.parametrize("how", ["longer", "touched", "replaced"])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, rows: list, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.csv"
    frame(rows).write_csv(path)

    class Meddling(Table):
        def parts(self, *arguments: object) -> list[parts.Part]:  # type: ignore[override]
            found = super().parts(*arguments)  # type: ignore[arg-type]
            if how == "longer":
                path.write_text(path.read_text() + "a,b,1,1\n")
            elif how == "touched":
                os.utime(path, (1, 1))
            else:
                (tmp_path / "new").write_text(path.read_text())
                (tmp_path / "new").replace(path)
            return found

    with pytest.raises(DataError, match=r"t\.csv' changed while it was read; read it again"):
        Meddling(tmp_path, interactions="t.csv").load("d")
    monkeypatch.undo()
    load(tmp_path, "t.csv")


def test_of_repeated_items_the_first_counts_across_files(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("user,item\n1,x\n1,y\n")
    (tmp_path / "items").mkdir()
    (tmp_path / "items" / "1.csv").write_text("item,title\nx,first\n\nx,second\n")
    (tmp_path / "items" / "2.csv").write_text("item,title\nx,third\ny,Y\nz,Z\n")
    table = Table(tmp_path, interactions="t.csv", items="items", text=["title"])
    assert table.load("d").texts == ("first", "Y")
    (unmatched,) = table.problems.unmatched
    assert (unmatched["ids"], unmatched["examples"]) == (1, ["z"])
