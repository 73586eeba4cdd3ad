"""Files from the web: checked, resumed where they broke off, and whole or absent."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import logging
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import IO, TypeVar

from gnnseg.errors import DataError

Progress = Callable[[int, int | None], None]
"""Called with the bytes done so far and the bytes in all, or None where the server does not say."""

TIMEOUT = 30.0
"""Seconds to wait for a connection or for the next bytes."""

RETRIES = 3
"""How often a transfer that broke off is taken up again."""

RETRY_DELAY = 0.5
"""Seconds before the first retry; doubled before each further one."""

_CHUNK = 1 << 18
_CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _TransferError(Exception):
    """The connection failed or ended early: worth another try."""


def fetch(url: str, checksum: str | None, folder: Path, progress: Progress | None = None) -> Path:
    """Download a file into ``folder``, or find it there.

    Bytes gather in a ``.part`` sibling, which a later call continues; it gets the final name once its
    checksum is right. A file that is there already is only checked.

    Args:
        url: What to download; the last part of its path names the file.
        checksum: ``md5:...`` or ``sha256:...``. None reads what is published at ``url + ".md5"`` when the
            file is downloaded and keeps it beside the file; a file put there by hand without one is
            accepted with a warning where none can be read.
        folder: Where the file goes.
        progress: Told how many bytes there are.

    Returns:
        The path of the whole file.

    Raises:
        DataError: If ``url`` or ``checksum`` is malformed; if the server cannot be reached, answers with an
            error or sends too little; if the checksum is wrong; or if ``folder`` cannot be written.
    """
    if checksum is not None and not _CHECKSUM.fullmatch(checksum):
        raise DataError(f"a checksum must be 'md5:...' or 'sha256:...' in hexadecimal (got '{checksum}')")
    path = folder / _file_name(url)
    by_hand = f"or fetch '{url}' by hand and put it at '{path}'"
    if _is_file(path):
        _check_present(path, url, checksum)
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error, by_hand) from None
    expected = checksum or _published(url, by_hand, RETRIES)
    part = path.with_name(path.name + ".part")
    _persist(lambda: _receive(url, part, progress, by_hand), url, by_hand, RETRIES)
    received = _digest(part, expected)
    if received != expected:
        part.unlink(missing_ok=True)
        raise DataError(
            f"'{url}' has the wrong checksum (expected {expected}, got {received}); "
            f"the download was removed: try again, {by_hand}"
        )
    try:
        if checksum is None:
            _sidecar(path).write_text(f"{expected.partition(':')[2]}  {path.name}\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise _unwritable(path, error, by_hand) from None
    return path


def _file_name(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    name = urllib.parse.unquote(parts.path.rpartition("/")[2])
    if parts.scheme not in ("http", "https") or name in ("", ".", "..") or "/" in name or "\\" in name:
        raise DataError(f"a download needs an address like 'https://host/file.zip' (got '{url}')")
    return name


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".md5")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _check_present(path: Path, url: str, checksum: str | None) -> None:
    """Check a file that has its final name.

    Raises:
        DataError: If its checksum is wrong.
    """
    expected = checksum
    try:
        if expected is None and _sidecar(path).is_file():
            expected = _md5_in(_sidecar(path).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        expected = None
    if expected is None:
        try:
            expected = _published(url, "or go on with the file as it is", retries=0)
        except DataError as error:
            _log.warning("'%s' is used unchecked: %s", path, error)
            return
    received = _digest(path, expected)
    if received != expected:
        raise DataError(
            f"'{path}' has the wrong checksum (expected {expected}, got {received}); "
            f"delete it to download it again, or put a whole copy of '{url}' in its place"
        )


def _unwritable(path: Path, error: OSError, by_hand: str) -> DataError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        advice = "free some space or set GNNSEG_HOME to a folder on another disk"
    else:
        advice = "set GNNSEG_HOME to a folder that can be written"
    return DataError(f"cannot write '{path}': {error.strerror or error}; {advice}, {by_hand}")


def _published(url: str, by_hand: str, retries: int) -> str:
    """The MD5 that the server publishes beside a file.

    Raises:
        DataError: If it cannot be read or is none.
    """
    address = f"{url}.md5"

    def read() -> str:
        with _open(address, 0, by_hand) as answer:
            return _read(answer).decode("utf-8", errors="replace")

    text = _persist(read, address, by_hand, retries)
    found = _md5_in(text)
    if found is None:
        raise DataError(f"'{address}' holds no MD5 checksum (got {text[:40]!r}); try again later, {by_hand}")
    return found


def _md5_in(text: str) -> str | None:
    found = re.search(r"\b[0-9a-fA-F]{32}\b", text)
    return None if found is None else f"md5:{found[0].lower()}"


def _persist(action: Callable[[], T], url: str, by_hand: str, retries: int) -> T:
    """Do something with the network, again where the connection fails.

    Raises:
        DataError: If it fails even at the last try.
    """
    for attempt in range(1 + retries):
        try:
            return action()
        except _TransferError as error:
            reason = " ".join(str(error).split())
        if attempt < retries:
            _log.info("'%s': %s; trying again", url, reason)
            time.sleep(RETRY_DELAY * 2**attempt)
    raise DataError(f"cannot download '{url}': {reason}; check the network and try again, {by_hand}")


def _receive(url: str, part: Path, progress: Progress | None, by_hand: str) -> None:
    """One try: ask for what ``part`` lacks and append it.

    Raises:
        _TransferError: If the connection fails or the body ends early.
        DataError: If the server answers with an error, or the disk does not take the bytes.
    """
    with _open(url, _size(part), by_hand) as answer:
        with _appending(part, by_hand) as file:
            done, total = _place(answer, file)
        if progress is not None:
            progress(done, total)
        while chunk := _read(answer):
            with _appending(part, by_hand) as file:
                file.write(chunk)
            done += len(chunk)
            if progress is not None:
                progress(done, total)
    if total is not None and done < total:
        raise _TransferError(f"the body is truncated ({done} of {total} bytes received)")


def _size(part: Path) -> int:
    return part.stat().st_size if _is_file(part) else 0


@contextlib.contextmanager
def _appending(part: Path, by_hand: str) -> Iterator[IO[bytes]]:
    try:
        with part.open("ab") as file:
            yield file
    except OSError as error:
        raise _unwritable(part, error, by_hand) from None


def _open(url: str, start: int, by_hand: str) -> http.client.HTTPResponse:
    """The server's answer, from byte ``start`` on where the server can do that."""
    headers = {"User-Agent": "gnnseg"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            return _open(url, 0, by_hand)  # the part is as long as the file, or not a piece of it
        raise DataError(
            f"'{url}' answers {error.code} {error.reason}; check the address, {by_hand}"
        ) from None
    except urllib.error.URLError as error:
        raise _TransferError(f"no connection ({error.reason})") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _TransferError(f"no connection ({error or type(error).__name__})") from None
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


def _place(answer: http.client.HTTPResponse, file: IO[bytes]) -> tuple[int, int | None]:
    """Where the body goes: the end of ``file`` or, emptied, its start; and how long the file will be."""
    start = file.tell()
    if answer.status == HTTPStatus.PARTIAL_CONTENT:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
        if span is None or int(span[1]) != start:
            file.truncate(0)
            raise _TransferError(
                f"another range than asked for (got {answer.headers.get('Content-Range')!r})"
            )
        if span[2] != "*":
            return start, int(span[2])
    else:
        start = 0
        file.truncate(0)
    return start, None if answer.length is None else start + answer.length


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _TransferError(f"the connection broke off ({error or type(error).__name__})") from None


def _digest(path: Path, like: str) -> str:
    """The checksum of a file by the same algorithm as ``like``.

    Raises:
        DataError: If the file cannot be read.
    """
    algorithm = like.partition(":")[0]
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}") from None
    return f"{algorithm}:{found.hexdigest()}"
