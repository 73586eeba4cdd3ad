"""Zip archives read member by member as streams; nothing is unpacked onto the disk, no archive in another."""

from __future__ import annotations

import contextlib
import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from gnnseg.errors import DataError, unknown

LIMIT = 2 << 30
"""Most bytes that one member may unpack to; the largest of MovieLens has 0.9 GB."""

MOST_RATIO = 200
"""Most bytes that a byte of a member may unpack to, where that is more than :data:`SMALL`; tables: 3 to 20"""

SMALL = 16 << 20
"""Bytes of a member that may unpack from however little."""

MOST_MEMBERS = 1000
"""Most entries of an archive; those of MovieLens have some two dozen at most."""

_MOST_NAMES = 512 * MOST_MEMBERS  # bytes of the list of entries, which is read before it can be counted
_CHUNK = 1 << 20
_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"  # APPNOTE 6.3.10, sections 4.3.15 and 4.3.16
_END_BYTES, _END_64_BYTES, _MOST_COMMENT = 22, 20, 65535

_CLIMBS = re.compile(r"^[/\\]|^[A-Za-z]:|\\|\x00|(^|/)\.\.(/|$)")


def members(archive: Path) -> dict[str, int]:
    """Size in bytes of every file in an archive once unpacked, by name.

    Raises:
        DataError: If the archive cannot be read, or an entry's name leads out of its folder.
    """
    with _opened(archive) as opened:
        return _sizes(archive, opened)


def read_member(archive: Path, member: str, limit: int = LIMIT) -> bytes:
    """The content of one file of an archive.

    Args:
        archive: The zip file.
        member: Name of the file inside it.
        limit: Most bytes that it may unpack to.

    Raises:
        DataError: If the archive cannot be read or is refused, lacks ``member``, or ``member`` is too large.
    """
    with _opened(archive) as opened:
        sizes = _sizes(archive, opened)
        if member not in sizes:
            raise DataError(f"'{archive}': {unknown('member', member, sizes)}")
        packed = opened.getinfo(member).compress_size
        most = min(limit, max(SMALL, MOST_RATIO * packed))
        content = bytearray()
        if sizes[member] <= most:
            with opened.open(member) as stream:
                while len(content) <= most and (chunk := stream.read(min(_CHUNK, most + 1))):
                    content += chunk
        if max(sizes[member], len(content)) > most:
            raise DataError(
                f"'{archive}': {member[:80]!r} unpacks to more than {most} bytes (got {sizes[member]})"
            )
        return bytes(content)


def _sizes(archive: Path, opened: zipfile.ZipFile) -> dict[str, int]:
    entries = opened.infolist()
    if len(entries) > MOST_MEMBERS:
        raise _refused(archive, f"it has more than {MOST_MEMBERS} entries")
    sizes: dict[str, int] = {}
    for entry in entries:
        name = entry.orig_filename
        if not entry.filename:  # what begins with a zero byte has none either
            raise _refused(archive, "it has an entry without a name")
        if _CLIMBS.search(name):
            raise _refused(archive, f"its entry {name[:80]!r} leads out of its folder")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _refused(archive, f"its entry {name[:80]!r} is a link")
        if entry.filename in sizes:
            raise _refused(archive, f"it has two entries {name[:80]!r}")
        if not entry.is_dir():
            sizes[entry.filename] = entry.file_size
    return sizes


def _refused(archive: Path, reason: str) -> DataError:
    return DataError(f"'{archive}' is refused: {reason}; delete the archive and fetch it from its publisher")


def _refuse_many(archive: Path) -> None:
    """Refuse a list of entries that is long, which the standard library would read whole before any of it.

    Raises:
        DataError: If it is refused.
    """
    with archive.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_BYTES - _END_64_BYTES - _MOST_COMMENT))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0:
        return
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    # the long form is for more than 65,535 entries or 4 GiB
    if length > _MOST_NAMES or tail[max(0, at - _END_64_BYTES) : at].startswith(_END_64):
        raise _refused(archive, f"it has more than {MOST_MEMBERS} entries, or their names are too long")


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        _refuse_many(archive)
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except FileNotFoundError:
        raise DataError(f"there is no file '{archive}'") from None
    except DataError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
        ValueError,
    ) as e:
        reason = getattr(e, "strerror", None) or " ".join(str(e).split()) or type(e).__name__
        raise DataError(
            f"'{archive}' is not a zip archive that can be read: {reason}; delete it and fetch it again"
        ) from None
