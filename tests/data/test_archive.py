import stat
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from gnnseg.data.archive import MOST_MEMBERS, SMALL, members, read_member
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


def zipped(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for entry, content in entries:
            opened.writestr(entry, content)
    return path


class TestHostile:
    """Archives that are made to harm; each is refused before it does."""

    def test_bomb_takes_no_memory(self, tmp_path: Path) -> None:
        bomb = zipped(tmp_path / "a.zip", ("a", bytes(64 << 20)))
        assert bomb.stat().st_size < 100_000
        tracemalloc.start()
        try:
            assert f"unpacks to more than {SMALL} bytes (got {64 << 20})" in failure(bomb, "a")
            assert tracemalloc.get_traced_memory()[1] < 4 << 20
        finally:
            tracemalloc.stop()

    def test_bomb_that_understates_its_size(self, tmp_path: Path) -> None:
        """The size of the entry says 1,000 bytes, its content is a million."""
        bomb = zipped(tmp_path / "a.zip", ("a", bytes(1_000_000)))
        content, size = bomb.read_bytes(), (1_000_000).to_bytes(4, "little")
        assert content.count(size) == 2
        bomb.write_bytes(content.replace(size, (1000).to_bytes(4, "little")))
        assert "is not a zip archive that can be read" in failure(bomb, "a")

    def test_ratio(self, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        packed = zipfile.ZipFile(archive).getinfo("data/zeros").compress_size
        monkeypatch.setattr("gnnseg.data.archive.SMALL", 10)
        monkeypatch.setattr("gnnseg.data.archive.MOST_RATIO", 100_000 // packed + 1)
        assert read_member(archive, "data/zeros") == bytes(100_000)
        monkeypatch.setattr("gnnseg.data.archive.MOST_RATIO", 100_000 // packed)
        assert "unpacks to more than" in failure(archive, "data/zeros")

    @pytest.mark.parametrize("more", [0, 1])
    def test_number_of_entries(self, tmp_path: Path, more: int) -> None:
        many = zipped(tmp_path / "a.zip", *((f"{n}", b"") for n in range(MOST_MEMBERS + more)))
        if not more:
            assert len(members(many)) == MOST_MEMBERS
            return
        assert f"is refused: it has more than {MOST_MEMBERS} entries" in failure(many, "0")

    def test_list_of_entries_is_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ten names that are as long as those of a thousand."""
        long = zipped(tmp_path / "a.zip", *((f"{n}" + "x" * 65_000, b"") for n in range(10)))
        monkeypatch.setattr(zipfile, "ZipFile", None)
        assert "or their names are too long; delete the archive" in failure(long, "0")

    def test_long_form(self, archive: Path) -> None:
        content = archive.read_bytes()
        at = content.rindex(b"PK\x05\x06")
        archive.write_bytes(content[:at] + b"PK\x06\x07" + bytes(16) + content[at:])
        assert "is refused: it has more than" in failure(archive, "data/a.txt")

    def test_comment_and_long_form_are_told_apart(self, archive: Path) -> None:
        with zipfile.ZipFile(archive, "a") as opened:
            opened.comment = b"PK\x06\x07" + b"x" * 60_000
        assert read_member(archive, "data/a.txt") == b"hello"

    def test_link(self, tmp_path: Path) -> None:
        link = zipfile.ZipInfo("a")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        path = zipped(tmp_path / "a.zip", ("b", b"1"), (link, b"/etc/passwd"))
        for name in ("a", "b"):
            assert "is refused: its entry 'a' is a link" in failure(path, name)

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_two_entries_of_one_name(self, tmp_path: Path) -> None:
        path = zipped(tmp_path / "a.zip", ("a", b"1"), ("a", b"2"))
        assert "is refused: it has two entries 'a'" in failure(path, "a")

    def test_entry_without_a_name(self, archive: Path) -> None:
        """Found by the fuzzer: a zero byte ends a name where it begins."""
        content = archive.read_bytes()
        place = content.index(b"data/", content.index(b"PK\x01\x02"))
        archive.write_bytes(content[:place] + b"\0" + content[place + 1 :])
        assert "is refused: it has an entry without a name" in failure(archive, "data/a.txt")

    def test_damaged_lzma(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_LZMA) as opened:
            opened.writestr("a", bytes(range(256)) * 9)
        content = bytearray((tmp_path / "a.zip").read_bytes())
        content[60:80] = b"\xff" * 20
        (tmp_path / "a.zip").write_bytes(content)
        assert "is not a zip archive that can be read" in failure(tmp_path / "a.zip", "a")

    def test_archive_in_an_archive_is_bytes(self, tmp_path: Path) -> None:
        """Its own entry, which leads out, is not looked at."""
        inner = zipped(tmp_path / "inner.zip", ("../a", b"1")).read_bytes()
        outer = zipped(tmp_path / "outer.zip", ("inner.zip", inner))
        assert members(outer) == {"inner.zip": len(inner)}
        assert read_member(outer, "inner.zip") == inner
