import gzip
import logging
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gnnseg.data.dataset import Dataset
from gnnseg.data.sources import Table
from gnnseg.data.sources.tables import MAX_TEXT
from gnnseg.errors import ConfigError, DataError

CSV = "user,item,rating,time\nb,y,4,1000\na,x,2.5,2000\nb,x,1e0,3000\n"


def zstd(data: bytes) -> bytes:
    """A Zstandard frame that stores ``data`` uncompressed (RFC 8878, section 3.1.1)."""
    size = len(data)
    return b"\x28\xb5\x2f\xfd\xa0" + size.to_bytes(4, "little") + (size << 3 | 1).to_bytes(3, "little") + data


def load(
    folder: Path, content: str | bytes | pl.DataFrame, name: str = "t.csv", **options: object
) -> Dataset:
    if isinstance(content, pl.DataFrame):
        name = "t.parquet"
        content.write_parquet(folder / name)
    else:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return Table(folder, interactions=name, **options).load("name")  # type: ignore[arg-type]


def failure(folder: Path, content: str | bytes | pl.DataFrame, name: str = "t.csv", **options: object) -> str:
    with pytest.raises(DataError) as caught:
        load(folder, content, name, **options)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    return str(caught.value)


def times(
    folder: Path, values: list[object], dtype: pl.DataType | type[pl.DataType] | None = None
) -> list[int]:
    ids = [str(i) for i in range(len(values))]
    frame = pl.DataFrame({"user": ids, "item": ids, "time": pl.Series(values, dtype=dtype)})
    found = load(folder, frame, time="time").interactions.times
    assert found.dtype == np.int64
    return found.tolist()


JSONL = """\
{"user": "b", "item": "y", "rating": 4, "time": 1000}
{"user": "a", "item": "x", "rating": 2.5, "time": 2000}
{"user": "b", "item": "x", "rating": 1, "time": 3000}
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", CSV.encode()),
        ("t.csv", b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode() + b"\r\n\r\n"),
        ("T.CSV", CSV.encode()),
        ("t[1].csv", CSV.encode()),
        ("t.tsv", CSV.replace(",", "\t").encode()),
        ("t.csv.gz", gzip.compress(CSV.encode(), mtime=0)),
        ("t.csv.zst", zstd(CSV.encode())),
        ("t.jsonl", JSONL.encode()),
        ("t.jsonl.gz", gzip.compress(JSONL.encode(), mtime=0)),
        ("t.jsonl.zst", zstd(JSONL.encode())),
    ],
)
def test_formats_agree(tmp_path: Path, name: str, content: bytes) -> None:
    dataset = load(tmp_path, content, name, rating="rating", time="time")
    assert dataset.name == "name"
    assert dataset.users.ids == ("a", "b")
    assert dataset.items.ids == ("x", "y")
    assert dataset.interactions.users.tolist() == [1, 0, 1]
    assert dataset.interactions.items.tolist() == [1, 0, 0]
    assert dataset.interactions.weights.tolist() == [4, 2.5, 1]
    assert dataset.interactions.times.tolist() == [1000, 2000, 3000]
    assert dataset.interactions.users.dtype == np.int64


def test_parquet_keeps_whole_numbers_whole(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": [2.0, 10.0], "item": [1, 2], "rating": [1, 2], "more": [[1], [2]]})
    dataset = load(tmp_path, frame, rating="rating")
    assert dataset.users.ids == ("10", "2")  # in the order of the ids as text
    assert dataset.interactions.users.tolist() == [1, 0]
    assert dataset.items.ids == ("1", "2")


def test_ratings_and_times_are_optional(tmp_path: Path) -> None:
    interactions = load(tmp_path, CSV).interactions
    assert interactions.weights is None
    assert interactions.times is None


class TestBadInteractions:
    def test_missing_column(self, tmp_path: Path) -> None:
        assert "unknown column 'users'; did you mean 'user'?" in failure(tmp_path, CSV, user="users")

    @pytest.mark.parametrize("value", ["nan", "inf", "-inf", "", "good", "1,5"])
    def test_rating(self, tmp_path: Path, value: str) -> None:
        message = failure(tmp_path, f'user,item,rating\n1,1,1\n1,2,"{value}"\n', rating="rating")
        assert f"row 2: 'rating' must be a finite number (got {value!r}" in message

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
    def test_rating_in_parquet(self, tmp_path: Path, value: float | None) -> None:
        frame = pl.DataFrame({"user": [1, 1], "item": [1, 2], "rating": [1.0, value]})
        assert "row 2: 'rating' must be a finite number" in failure(tmp_path, frame, rating="rating")

    @pytest.mark.parametrize("value", [[1.0], date(2020, 1, 1), b"1"])
    def test_type_of_rating(self, tmp_path: Path, value: object) -> None:
        frame = pl.DataFrame({"user": [1], "item": [1], "rating": [value]})
        assert "column 'rating' must hold numbers (got " in failure(tmp_path, frame, rating="rating")

    def test_type_of_id(self, tmp_path: Path) -> None:
        frame = pl.DataFrame({"user": [[1]], "item": [1]})
        assert "column 'user' must hold text or numbers (got List" in failure(tmp_path, frame)

    @pytest.mark.parametrize("value", ["", " ", "\x01"])
    def test_empty_id(self, tmp_path: Path, value: str) -> None:
        message = failure(tmp_path, f'user,item\n1,1\n"{value}",2\n')
        assert "row 2: 'user' must hold an id" in message

    @pytest.mark.parametrize("value", ["", " ", "\x01"])
    def test_skipped_where_asked(self, tmp_path: Path, value: str, caplog: pytest.LogCaptureFixture) -> None:
        content = f'user,item,rating\nb,y,1\n"{value}",y,2\na,"{value}",3\na,x,4\n"{value}","{value}",5\n'
        found = load(tmp_path, content, rating="rating", on_bad_rows="skip")
        assert (found.users.ids, found.items.ids) == (("a", "b"), ("x", "y"))
        assert found.interactions.users.tolist() == [1, 0]
        assert found.interactions.weights.tolist() == [1, 4]
        assert "3 of 5 rows skipped: 2 'user' must hold an id, 1 'item' must hold an id" in caplog.text

    def test_skipped_numbers(self, tmp_path: Path) -> None:
        frame = pl.DataFrame({"user": [3, None, 1], "item": [7, 8, None]})
        found = load(tmp_path, frame, on_bad_rows="skip")
        assert (list(found.users), list(found.items)) == (["3"], ["7"])

    def test_nothing_left(self, tmp_path: Path) -> None:
        message = failure(tmp_path, "user,item\n,1\n1,\n", on_bad_rows="skip")
        assert "has no row that is good; " in message
        assert message.endswith("row 1: 'user' must hold an id (got None)")

    def test_nothing_to_skip(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        assert len(load(tmp_path, CSV, on_bad_rows="skip").interactions) == 3
        assert not caplog.text

    @pytest.mark.parametrize("value", ["", "soon", "2020-13-01", "nan", "1e300"])
    def test_time(self, tmp_path: Path, value: str) -> None:
        message = failure(tmp_path, f"user,item,time\n1,1,100\n1,2,{value}\n", time="time")
        assert "row 2: 'time' must be epoch seconds, epoch milliseconds or an ISO 8601 time" in message

    @pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.csv.gz"])
    def test_empty_file(self, tmp_path: Path, name: str) -> None:
        assert failure(tmp_path, b"", name).endswith("is empty")

    def test_packed_empty_file(self, tmp_path: Path) -> None:
        assert failure(tmp_path, gzip.compress(b"", mtime=0), "t.csv.gz").endswith("is empty")

    @pytest.mark.parametrize(
        "content", ["user,item\n", "user,item\n\n\n", pl.DataFrame({"user": [], "item": []})]
    )
    def test_no_rows(self, tmp_path: Path, content: str | pl.DataFrame) -> None:
        assert failure(tmp_path, content).endswith("has no rows")

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("t.csv.gz", gzip.compress(CSV.encode() * 50, mtime=0)[:40]),
            ("t.csv", b"user,item\n1,2,3\n"),
            ("t.csv", "user,item\n1,é\n".encode("latin-1")),
            ("t.csv", b'user,item\n1,"a\n'),
            ("t.jsonl", b'{"user": 1\n'),
            ("t.jsonl", b"[1, 2]\n"),
            ("t.parquet", b"no parquet"),
        ],
    )
    def test_unreadable_file(self, tmp_path: Path, name: str, content: bytes) -> None:
        assert failure(tmp_path, content, name).startswith(f"cannot read '{tmp_path / name}': ")

    def test_missing_file_and_folder(self, tmp_path: Path) -> None:
        for name in ("none.csv", "none/t.parquet"):
            with pytest.raises(DataError, match=r"cannot read '.*none.*': No such file"):
                Table(tmp_path, interactions=name).load("name")
        (tmp_path / "d.csv").mkdir()
        with pytest.raises(DataError, match=r"cannot read '.*d\.csv'"):
            Table(tmp_path, interactions="d.csv").load("name")

    def test_unknown_format(self, tmp_path: Path) -> None:
        assert "must end in csv, tsv, jsonl or parquet (got 't.xlsx')" in failure(tmp_path, CSV, "t.xlsx")


class TestTimes:
    def test_numbers_and_texts_of_numbers(self, tmp_path: Path) -> None:
        assert times(tmp_path, [-1, 0, 1_600_000_000]) == [-1, 0, 1_600_000_000]
        assert times(tmp_path, [-0.5, 1.9]) == [-1, 1]
        assert times(tmp_path, ["1600000000", " 1600000001.9 ", "1.6e9"]) == [
            1_600_000_000,
            1_600_000_001,
            1_600_000_000,
        ]

    @pytest.mark.parametrize("unit", [10**3, 10**6, 10**9])
    @pytest.mark.parametrize("kind", [int, str])
    def test_finer_units(self, tmp_path: Path, unit: int, kind: type) -> None:
        assert times(tmp_path, [kind(s * unit) for s in (1_600_000_000, 1_600_000_001)]) == [
            1_600_000_000,
            1_600_000_001,
        ]

    def test_one_early_time_does_not_change_the_unit(self, tmp_path: Path) -> None:
        values = [86_400_000, 1_600_000_000_000, 1_600_000_001_000]
        assert times(tmp_path, values) == [86_400, 1_600_000_000, 1_600_000_001]

    def test_iso_8601(self, tmp_path: Path) -> None:
        values = ["1970-01-02", "1970-01-02T00:00:01", "1970-01-02 00:00:02", "1970-01-02T00:00:03Z"]
        values += ["1970-01-02T01:00:04+01:00", "1970-01-01T20:00:05-0400", "1970-01-02T00:00:06.999Z"]
        assert times(tmp_path, values) == [86_400 + i for i in (0, 1, 2, 3, 4, 5, 6)]
        assert times(tmp_path, ["1969-12-31T23:59:59.5"]) == [-1]

    def test_temporal_columns(self, tmp_path: Path) -> None:
        moment = datetime(2020, 1, 1, 12, 0, 0, 999_999)
        seconds = int(moment.replace(tzinfo=UTC, microsecond=0).timestamp())
        assert times(tmp_path, [date(1970, 1, 2), date(1969, 12, 31)]) == [86_400, -86_400]
        for unit in ("ms", "us", "ns"):
            assert times(tmp_path, [moment], pl.Datetime(unit)) == [seconds]
        zoned = moment.replace(tzinfo=timezone(timedelta(hours=2)))
        assert times(tmp_path, [zoned], pl.Datetime("us", "UTC")) == [seconds - 7200]

    @pytest.mark.parametrize("value", [timedelta(1), [1]])
    def test_other_types(self, tmp_path: Path, value: object) -> None:
        with pytest.raises(DataError, match="column 'time' must hold numbers"):
            times(tmp_path, [value])

    def test_missing_datetime(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="row 2: 'time' must be"):
            times(tmp_path, [datetime(2020, 1, 1), None])


class TestItems:
    def load(self, folder: Path, items: str, **options: object) -> Dataset:
        (folder / "items.csv").write_text(items)
        given = {"item_id": "id", "text": ["title", "by"], "tags": "tags", **options}
        return load(folder, CSV, items="items.csv", **given)

    def test_texts_and_tags(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        items = "id,title,by,tags,more\nz,Z,,,\ny,,Ann,a| b ||c,\nx,The X,Bob,,\nx,other,,,\n,,,,\n"
        dataset = self.load(tmp_path, items)
        assert dataset.texts == ("The X. Bob", "Ann")
        assert dataset.tags == ((), ("a", "b", "c"))
        assert not caplog.records
        assert self.load(tmp_path, items, text_join=" / ", tags=None).texts == ("The X / Bob", "Ann")
        assert self.load(tmp_path, items, text=[]).texts is None

    def test_control_characters_and_length(self, tmp_path: Path) -> None:
        long = "a" * 10_000
        dataset = self.load(tmp_path, f'id,title,by,tags\nx,"\x00one\n\ttwo\x85\x7f ",,\ny,{long},{long},\n')
        assert dataset.texts == ("one two", "a" * MAX_TEXT)

    def test_ids_meet_after_cleaning(self, tmp_path: Path) -> None:
        assert self.load(tmp_path, 'id,title,by,tags\n" x\x01",X,,\n').texts[0] == "X"

    def test_items_without_a_row(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            assert self.load(tmp_path, "id,title,by,tags\nx,X,,\n").texts == ("X", "")
        assert "does not describe 1 of 2 items" in caplog.text

    def test_wrong_id_column(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"column 'by' has none of the 2 item ids .* set 'item_id'"):
            self.load(tmp_path, "id,title,by,tags\nx,X,,\n", item_id="by")

    def test_missing_column_or_file(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"items\.csv': unknown column 'title'; did you mean 'titel'"):
            self.load(tmp_path, "id,titel,by,tags\nx,X,,\n")
        with pytest.raises(DataError, match=r"cannot read '.*none\.csv'"):
            load(tmp_path, CSV, items="none.csv", text=["title"])

    def test_text_without_items(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="'items', which is missing"):
            Table(tmp_path, interactions="t.csv", text=["title"])


class TestUsers:
    USERS = "key,age,city\nc,1,C\nb,2,B\na,,A\n"

    def load(self, folder: Path, **options: object) -> pl.DataFrame | None:
        (folder / "users.csv").write_text(self.USERS)
        return load(folder, CSV, users="users.csv", **{"user_key": "key", **options}).user_table

    def test_columns_in_row_order(self, tmp_path: Path) -> None:
        assert self.load(tmp_path, user_columns=["age"]).rows() == [(None,), ("2",)]
        assert self.load(tmp_path).to_dict(as_series=False) == {"age": [None, "2"], "city": ["A", "B"]}
        assert self.load(tmp_path, user_columns=["key"]).rows() == [("a",), ("b",)]

    def test_wrong_columns(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="unknown column 'aged'; did you mean 'age'"):
            self.load(tmp_path, user_columns=["aged"])
        with pytest.raises(DataError, match="unknown column 'keys'; did you mean 'key'"):
            self.load(tmp_path, user_key="keys")
        with pytest.raises(DataError, match="set 'user_key'"):
            self.load(tmp_path, user_key="city")
        with pytest.raises(ConfigError, match="'users', which is missing"):
            Table(tmp_path, interactions="t.csv", user_columns=["age"])
