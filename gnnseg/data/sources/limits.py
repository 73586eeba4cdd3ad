"""Text files that would not fit into memory, found before anything reads them whole."""

from __future__ import annotations

import contextlib
import functools
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from gnnseg.errors import DataError

LONGEST_LINE = 64 << 20
"""Most bytes of a line; whatever reads a table holds a line at a time at least."""

MOST_RATIO = 200
"""Most bytes that a byte of a compressed file may unpack to, if that is more than a line; tables: 3 to 20"""

_CHUNK = 1 << 20
_DEFLATE = 1032  # no byte of deflate unpacks to more (zlib's technical details, "maximum compression factor")
_BLOCK = 128 << 10  # no block of Zstandard unpacks to more (RFC 8878, section 3.1.1.2.4)
_DICTIONARY_ID = (0, 1, 2, 4)  # bytes, by the flag in a frame's header (RFC 8878, section 3.1.1.1.1)
_CONTENT_SIZE = (0, 2, 4, 8)

_Kind = str | None


def refuse_unbounded(path: Path) -> None:
    """Refuse a text file with a line above :data:`LONGEST_LINE`, or one that unpacks beyond all measure.

    Looked at is a block for every 64 MiB of a plain file. A gzip or zlib file is unpacked once, piece by
    piece; of a Zstandard file, which Python 3.11 cannot unpack, the blocks are counted, so that a line in it
    is bounded by the ratio alone.

    Args:
        path: A text file, plain or compressed; its first bytes tell which, as they do to polars.

    Raises:
        DataError: If it is refused.
        OSError: If it cannot be read.
    """
    found = path.stat()
    _refuse(path, LONGEST_LINE, found.st_size, (found.st_ino, found.st_mtime_ns))


@functools.lru_cache(maxsize=64)
def _refuse(path: Path, longest: int, size: int, state: tuple[int, ...]) -> None:
    """Once a state of a file, as a table is opened several times."""
    kind = _compression(path)
    if kind is None:
        if size > longest and _has_long_line(path, size, longest):
            raise _too_long(path, longest)
    elif kind == "zstd":
        with path.open("rb") as file:
            _refuse_ratio(path, _most_of_zstd(file), size, longest)
    elif size * _DEFLATE > longest:
        with contextlib.suppress(EOFError, OSError, zlib.error):  # told by what reads it
            _refuse_deflated(path, kind, size, longest)


def _refuse_deflated(path: Path, kind: str, size: int, longest: int) -> None:
    line = total = 0
    for chunk in _unpacked(path, kind, min(_CHUNK, longest)):
        total += len(chunk)
        end = chunk.find(b"\n")
        line += len(chunk) if end < 0 else end
        if line > longest:
            raise _too_long(path, longest)
        if end >= 0:
            line = len(chunk) - chunk.rfind(b"\n") - 1
        _refuse_ratio(path, total, size, longest)


def _refuse_ratio(path: Path, unpacked: int, size: int, longest: int) -> None:
    if unpacked > max(longest, MOST_RATIO * size):
        raise DataError(
            f"'{path}' unpacks to more than {MOST_RATIO} times its {size} bytes; "
            "unpack it, if it is what you want to read"
        )


def _too_long(path: Path, longest: int) -> DataError:
    return DataError(f"'{path}' has a line of more than {longest} bytes; is it a table, with line ends?")


def _compression(path: Path) -> _Kind:
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"\x1f\x8b":
        return "gzip"
    if start == b"\x28\xb5\x2f\xfd":
        return "zstd"
    return "zlib" if start[:2] in (b"\x78\x01", b"\x78\x9c", b"\x78\xda") else None


def _has_long_line(path: Path, size: int, longest: int) -> bool:
    """Whether from some line on no line ends within ``longest`` bytes; leaps from line end to line end."""
    start = 0
    with path.open("rb") as file:
        while size - start > longest:
            end = _last_line_end(file, start, start + longest + 1)
            if end is None:
                return True
            start = end + 1
    return False


def _last_line_end(file: IO[bytes], start: int, stop: int) -> int | None:
    """Place of the last line end from ``start`` to before ``stop``, searched from the end."""
    while stop > start:
        first = max(start, stop - _CHUNK)
        file.seek(first)
        found = file.read(stop - first).rfind(b"\n")
        if found >= 0:
            return first + found
        stop = first
    return None


def _unpacked(path: Path, kind: str, chunk: int) -> Iterator[bytes]:
    if kind == "gzip":
        with gzip.open(path, "rb") as stream:
            while some := stream.read(chunk):
                yield some
        return
    inflate = zlib.decompressobj()
    with path.open("rb") as file:
        while (packed := inflate.unconsumed_tail or file.read(chunk)) and not inflate.eof:
            yield inflate.decompress(packed, chunk)


def _most_of_zstd(file: IO[bytes]) -> int:
    """Most bytes that a Zstandard file unpacks to, by the headers of its blocks (RFC 8878, section 3.1.1)."""
    most = 0
    while (magic := file.read(4)) and len(magic) == 4:
        if magic[1:] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5:  # a frame to skip
            file.seek(int.from_bytes(file.read(4), "little"), 1)
        elif magic == b"\x28\xb5\x2f\xfd":
            most += _most_of_frame(file)
        else:
            break
    return most


def _most_of_frame(file: IO[bytes]) -> int:
    about = (file.read(1) or b"\0")[0]
    single = bool(about & 32)
    size = _CONTENT_SIZE[about >> 6] or int(single)
    file.seek((not single) + _DICTIONARY_ID[about & 3] + size, 1)
    most, last = 0, False
    while not last and len(header := file.read(3)) == 3:
        word = int.from_bytes(header, "little")
        last, kind, length = bool(word & 1), word >> 1 & 3, word >> 3
        most += _BLOCK if kind == 2 else length
        file.seek(1 if kind == 1 else length, 1)
    file.seek(4 if about & 4 else 0, 1)
    return most
