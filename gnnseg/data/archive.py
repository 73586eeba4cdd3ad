"""Zip archives read member by member; nothing is ever unpacked onto the disk."""

from __future__ import annotations

import contextlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from gnnseg.errors import DataError, unknown

LIMIT = 2 << 30
"""Most bytes that one member may unpack to; the largest of MovieLens has 0.9 GB."""

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
        content = b""
        if sizes[member] <= limit:
            with opened.open(member) as stream:
                content = stream.read(limit + 1)
        if max(sizes[member], len(content)) > limit:
            raise DataError(
                f"'{archive}': '{member}' unpacks to more than {limit} bytes (got {sizes[member]})"
            )
        return content


def _sizes(archive: Path, opened: zipfile.ZipFile) -> dict[str, int]:
    for entry in opened.infolist():
        if _CLIMBS.search(entry.orig_filename):
            raise DataError(
                f"'{archive}' is refused: its entry {entry.orig_filename!r} leads out of its folder; "
                "delete the archive and fetch it from its publisher"
            )
    return {entry.filename: entry.file_size for entry in opened.infolist() if not entry.is_dir()}


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except FileNotFoundError:
        raise DataError(f"there is no file '{archive}'") from None
    except DataError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
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
