import errno
import hashlib
import io
import logging
import re
import socket
from pathlib import Path

import pytest

from gnnseg.data import download
from gnnseg.data.download import fetch
from gnnseg.errors import DataError
from tests.data.conftest import Server

BODY = bytes(range(256)) * 4000  # about four chunks
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def url(server: Server) -> str:
    server.files["a.zip"] = BODY
    return f"{server.url}/a.zip"


def failure(*args: object) -> str:
    """The message of the error that ``fetch`` ends with, known to be one line."""
    with pytest.raises(DataError) as caught:
        fetch(*args)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("checksum", [SHA256, MD5])
def test_downloads_once_and_reports_progress(server: Server, url: str, cache: Path, checksum: str) -> None:
    told: list[tuple[int, int | None]] = []
    path = fetch(url, checksum, cache, lambda done, total: told.append((done, total)))
    assert path == cache / "a.zip"
    assert path.read_bytes() == BODY
    assert names(cache) == ["a.zip"]
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))
    assert told == sorted(told)
    assert fetch(url, checksum, cache) == path
    assert len(server.requests) == 1


def test_download_without_content_length(server: Server, url: str, cache: Path) -> None:
    server.lengths = False
    told: list[int | None] = []
    assert fetch(url, SHA256, cache, lambda _, total: told.append(total)).read_bytes() == BODY
    assert set(told) == {None}


def test_connection_that_drops_midway_is_resumed(server: Server, url: str, cache: Path) -> None:
    server.cuts = [300_000, 400_000]
    assert fetch(url, SHA256, cache).read_bytes() == BODY
    assert server.requests == [("a.zip", None), ("a.zip", "bytes=300000-"), ("a.zip", "bytes=700000-")]


def test_part_of_an_earlier_call_is_continued(server: Server, url: str, cache: Path) -> None:
    cache.mkdir()
    (cache / "a.zip.part").write_bytes(BODY[:1000])
    told: list[int] = []
    assert fetch(url, SHA256, cache, lambda done, _: told.append(done)).read_bytes() == BODY
    assert server.requests == [("a.zip", "bytes=1000-")]
    assert told[0] == 1000


@pytest.mark.parametrize("length", [1000, len(BODY), len(BODY) + 5])
def test_server_that_cannot_continue_makes_it_start_anew(
    server: Server, url: str, cache: Path, length: int
) -> None:
    server.ranges = length > 1000  # beyond the end a server that knows ranges answers 416
    cache.mkdir()
    (cache / "a.zip.part").write_bytes(b"x" * length)
    assert fetch(url, SHA256, cache).read_bytes() == BODY
    assert names(cache) == ["a.zip"]


def test_another_range_than_asked_for_makes_it_start_anew(server: Server, url: str, cache: Path) -> None:
    server.wrong_range = True
    cache.mkdir()
    (cache / "a.zip.part").write_bytes(BODY[:1000])
    assert fetch(url, SHA256, cache).read_bytes() == BODY


def test_truncated_body(server: Server, url: str, cache: Path) -> None:
    server.ranges = False
    server.cuts = [-1000]
    message = failure(url, SHA256, cache)
    assert f"truncated (1000 of {len(BODY)} bytes received)" in message
    assert f"put it at '{cache / 'a.zip'}'" in message
    assert len(server.requests) == 1 + download.RETRIES
    assert names(cache) == ["a.zip.part"]  # kept, to be continued


def test_wrong_checksum_removes_the_download(server: Server, url: str, cache: Path) -> None:
    wrong = f"md5:{'0' * 32}"
    message = failure(url, wrong, cache)
    assert f"expected {wrong}, got {MD5}" in message
    assert f"put it at '{cache / 'a.zip'}'" in message
    assert names(cache) == []


def test_file_that_is_there_with_a_wrong_checksum(server: Server, url: str, cache: Path) -> None:
    cache.mkdir()
    (cache / "a.zip").write_bytes(b"else")
    message = failure(url, SHA256, cache)
    assert "wrong checksum" in message
    assert "delete it" in message
    assert (cache / "a.zip").read_bytes() == b"else"
    assert not server.requests


@pytest.mark.parametrize("status", [403, 404, 503])
def test_http_error_is_not_tried_again(server: Server, url: str, cache: Path, status: int) -> None:
    server.status["a.zip"] = status
    message = failure(url, SHA256, cache)
    assert f"answers {status}" in message
    assert f"put it at '{cache / 'a.zip'}'" in message
    assert len(server.requests) == 1
    assert names(cache) == []


def test_no_network(server: Server, cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    message = failure(f"http://127.0.0.1:{port}/a.zip", SHA256, cache)
    assert "no connection" in message
    assert "check the network" in message
    assert f"put it at '{cache / 'a.zip'}'" in message
    assert names(cache) == []


def test_connection_that_fails_while_reading(
    server: Server, url: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> bytes:
        raise TimeoutError("timed out")

    monkeypatch.setattr("http.client.HTTPResponse.read", broken)
    assert "the connection broke off (timed out)" in failure(url, SHA256, cache)


def test_folder_that_cannot_be_made(server: Server, url: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    message = failure(url, SHA256, tmp_path / "file" / "cache")
    assert message.startswith(f"cannot write '{tmp_path / 'file' / 'cache'}': Not a directory")
    assert "set GNNSEG_HOME to a folder that can be written" in message
    assert "by hand" in message
    assert not server.requests


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.EROFS, "GNNSEG_HOME to a folder that can be written"), (errno.ENOSPC, "free some space")],
)
def test_folder_that_cannot_be_written(
    server: Server, url: str, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int, advice: str
) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(number, "as the test wants it")

    monkeypatch.setattr(Path, "open", lambda *args, **kwargs: Full())
    message = failure(url, SHA256, cache)
    assert f"cannot write '{cache / 'a.zip.part'}': as the test wants it" in message
    assert advice in message
    assert f"put it at '{cache / 'a.zip'}'" in message


@pytest.mark.parametrize("name", ["ftp://host/a.zip", "http://host/", "a.zip", "http://host/..%2Fa.zip"])
def test_address_that_names_no_file(cache: Path, name: str) -> None:
    assert "needs an address like" in failure(name, SHA256, cache)


@pytest.mark.parametrize("checksum", ["", "0" * 32, "md5:123", "crc32:00000000"])
def test_malformed_checksum(cache: Path, checksum: str) -> None:
    assert "a checksum must be" in failure("http://host/a.zip", checksum, cache)


class TestPublishedChecksum:
    @pytest.mark.parametrize("line", ["{}  a.zip\n", "MD5 (a.zip) = {}\n"])
    def test_is_checked_and_kept(self, server: Server, url: str, cache: Path, line: str) -> None:
        server.files["a.zip.md5"] = line.format(MD5.removeprefix("md5:")).encode()
        path = fetch(url, None, cache)
        assert names(cache) == ["a.zip", "a.zip.md5"]
        server.requests.clear()
        assert fetch(url, None, cache) == path
        assert not server.requests
        path.write_bytes(b"else")
        assert "wrong checksum" in failure(url, None, cache)

    def test_differs(self, server: Server, url: str, cache: Path) -> None:
        server.files["a.zip.md5"] = b"0" * 32
        assert "wrong checksum" in failure(url, None, cache)
        assert names(cache) == []

    def test_is_missing_or_none(self, server: Server, url: str, cache: Path) -> None:
        assert re.search(r"a\.zip\.md5' answers 404 .* put it at", failure(url, None, cache))
        server.files["a.zip.md5"] = b"<html>\nsorry"
        assert "holds no MD5 checksum" in failure(url, None, cache)
        assert names(cache) == []

    def test_is_missing_for_a_file_put_there_by_hand(
        self, server: Server, url: str, cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cache.mkdir()
        (cache / "a.zip").write_bytes(b"by hand")
        with caplog.at_level(logging.WARNING):
            assert fetch(url, None, cache).read_bytes() == b"by hand"
        assert "is used unchecked" in caplog.text
        server.files["a.zip.md5"] = MD5.encode()
        assert "wrong checksum" in failure(url, None, cache)


def test_interrupted_transfer_keeps_its_part(server: Server, url: str, cache: Path) -> None:
    def stop(done: int, total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(url, SHA256, cache, stop)
    assert names(cache) == ["a.zip.part"]
    assert fetch(url, SHA256, cache).read_bytes() == BODY
