from __future__ import annotations

import gzip
import os
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnseg.data.sources import AdjacencyLists, Table, limits
from gnnseg.data.sources.limits import refuse_unbounded
from gnnseg.errors import DataError

LIMIT = 40
NUMBERS = count()
HEAD = b"user,item\n"


def zstandard(content: bytes) -> bytes:
    return pyarrow.compress(content, codec="zstd", asbytes=True)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(limits, "LONGEST_LINE", LIMIT)
    monkeypatch.setattr(limits, "_CHUNK", 7)
    monkeypatch.setattr(limits, "_DEFLATE", LIMIT)  # so that files of a few bytes are looked at, too
    return


def refused(path: Path) -> bool:
    try:
        refuse_unbounded(path)
    except DataError as error:
        return str(error).startswith(f"'{path}' has a line of more than {LIMIT} bytes")
    return False


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zlib.compress], ids=["plain", "gzip", "zlib"])
@pytest.mark.usefixtures("short")
@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.sampled_from([0, 1, 6, 7, LIMIT - 1, LIMIT, LIMIT + 1, 90]), max_size=6))
def test_exactly_the_files_with_a_long_line(
    packed: Callable[[bytes], bytes], lengths: list[int], tmp_path: Path
) -> None:
    path = tmp_path / f"{next(NUMBERS)}"  # a new one, as a file is looked at once
    path.write_bytes(packed(b"\n".join(b"x" * length for length in lengths)))
    assert refused(path) == (max(lengths, default=0) > LIMIT)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.csv.gz", "t.jsonl.gz", "t.csv.zst"])
def test_tables(name: str, tmp_path: Path) -> None:
    packed = {"gz": gzip.compress, "zst": zstandard}.get(name.rpartition(".")[2], bytes)
    (tmp_path / name).write_bytes(packed(HEAD + b"1," + b"x" * 20 * LIMIT + b"\n"))
    with pytest.raises(DataError, match=rf"t\.{name[2:]}' (has a line of more than|unpacks to more than)"):
        Table(tmp_path, interactions=name).load("x")


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", ["train", "train.gz"])
def test_adjacency_lists(name: str, tmp_path: Path) -> None:
    packed = gzip.compress if name.endswith("gz") else bytes
    (tmp_path / name).write_bytes(packed(b"0 1\n1 " + b"2 " * LIMIT + b"\n"))
    (tmp_path / "test").write_bytes(b"0 3\n")
    with pytest.raises(DataError, match=rf"{name}' has a line of more than {LIMIT} bytes"):
        AdjacencyLists(tmp_path, train=name, test="test").load("x")


@pytest.mark.usefixtures("short")
def test_a_field_in_quotes_with_many_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is long, but what polars and Python hold at once would be; a quote is left open there."""
    (tmp_path / "t.csv").write_bytes(HEAD + b'1,"' + b"x\n" * LIMIT)
    with pytest.raises(DataError, match=r"t\.csv': line \d+ must (have fields of at most|close its quotes)"):
        Table(tmp_path, interactions="t.csv").load("x")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_bomb_of_short_lines(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = HEAD + b"1,a\n" * 200_000
    packed = gzip.compress(content) if kind == "gzip" else zstandard(content)
    (tmp_path / "t.csv").write_bytes(packed)  # the first bytes tell, not the name
    monkeypatch.setattr(limits, "LONGEST_LINE", len(content) + (128 << 10))
    assert len(Table(tmp_path, interactions="t.csv").load("x").interactions) == 200_000
    monkeypatch.setattr(limits, "LONGEST_LINE", 1000)
    with pytest.raises(
        DataError, match=rf"unpacks to more than 200 times its {len(packed)} bytes; unpack it"
    ):
        Table(tmp_path, interactions="t.csv").load("x")


@pytest.mark.parametrize("size", [0, 1, 255, 256, 70_000, 200_000, 1_000_000])
@pytest.mark.parametrize("random", [False, True], ids=["zeros", "random"])
def test_bound_of_zstandard(size: int, random: bool, tmp_path: Path) -> None:
    content = os.urandom(size) if random else bytes(size)
    frames = zstandard(content) + b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc" + zstandard(content)
    path = tmp_path / "t"
    path.write_bytes(frames)
    with path.open("rb") as file:
        most = limits._most_of_zstd(file)
    assert 2 * size <= most <= 2 * (size + (128 << 10))


def test_a_line_of_a_gigabyte_takes_no_memory(tmp_path: Path) -> None:
    """A file with a hole: nothing is on the disk."""
    path = tmp_path / "t.csv"
    path.write_bytes(HEAD + b"1,2\n3,")
    os.truncate(path, 1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=rf"has a line of more than {64 << 20} bytes"):
            Table(tmp_path, interactions="t.csv").load("x")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
