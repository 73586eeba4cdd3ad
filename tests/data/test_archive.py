import zipfile
from pathlib import Path

import pytest

from gnnseg.data.archive import members, read_member
from gnnseg.errors import DataError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.mkdir("data")
        opened.writestr("data/a.txt", b"hello")
        opened.writestr("data/zeros", bytes(100_000))
    return path


def failure(*args: object) -> str:
    with pytest.raises(DataError) as caught:
        read_member(*args)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_members_and_their_content(archive: Path) -> None:
    assert members(archive) == {"data/a.txt": 5, "data/zeros": 100_000}
    assert read_member(archive, "data/a.txt") == b"hello"
    assert read_member(archive, "data/zeros", limit=100_000) == bytes(100_000)


def test_unknown_member(archive: Path) -> None:
    assert "unknown member 'data/b.txt'; did you mean 'data/a.txt'?" in failure(archive, "data/b.txt")


def test_member_beyond_the_limit(archive: Path) -> None:
    assert "unpacks to more than 99999 bytes (got 100000)" in failure(archive, "data/zeros", 99_999)


@pytest.mark.parametrize(
    "name", ["../a", "a/../../b", "a/..", "/etc/a", "C:/a", "c:a", "a\\b", "..\\a", "\\\\host\\a"]
)
def test_entry_that_leads_out_is_refused(archive: Path, name: str) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(name, b"")
    for read in (lambda: members(archive), lambda: read_member(archive, "data/a.txt")):
        with pytest.raises(DataError, match=r"is refused: its entry .* leads out of its folder"):
            read()


@pytest.mark.parametrize("name", ["..a", "a..", "a/...", "a:b", "a/b:c"])
def test_names_with_dots_and_colons_are_fine(archive: Path, name: str) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr("x" + name, b"1")
    assert read_member(archive, "x" + name) == b"1"


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(50)])
def test_no_zip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.zip").write_bytes(content)
    assert "is not a zip archive that can be read" in failure(tmp_path / "b.zip", "a")


def test_damaged_member(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    place = content.index(b"data/zeros") + len("data/zeros") + 5
    content[place : place + 8] = b"\xff" * 8
    archive.write_bytes(content)
    assert "delete it and fetch it again" in failure(archive, "data/zeros")


def test_truncated_archive(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-30])
    assert "is not a zip archive that can be read" in failure(archive, "data/a.txt")


def test_missing_archive(tmp_path: Path) -> None:
    assert "there is no file" in failure(tmp_path / "none.zip", "a")
