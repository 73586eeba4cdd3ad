"""What reads files that others made: each takes any bytes, or raises the project's own error in one line."""

from __future__ import annotations

import gzip
import hashlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gnnseg.checkpoint import load_run
from gnnseg.config import load_config
from gnnseg.data.archive import members, read_member
from gnnseg.data.sources import AdjacencyLists, Table
from gnnseg.errors import GnnsegError
from gnnseg.resume import load_resume, save_resume
from gnnseg.run_folder import RESUME_FILE
from tests.data.sources.malformed import GOOD, ROW, archives, configs, lists, tables
from tests.runs import PLAIN, on_data, saved_run, unsealed

ENDINGS = ("csv", "tsv", "jsonl", "parquet", "csv.gz", "jsonl.gz", "csv.zst")
FILES = ("model.json", "users.json", "items.json", "texts.json", "embeddings.safetensors", "config.yaml")
SHORT = 4000
"""Bytes of a seed at most; longer ones slow the fuzzer down."""


class Reader(NamedTuple):
    """Something that reads a file.

    Attributes:
        read: Takes an empty folder and any bytes.
        seeds: Bytes to begin with.
    """

    read: Callable[[Path, bytes], object]
    seeds: Callable[[], list[bytes]]


def safely(reader: Reader, folder: Path, content: bytes) -> bool:
    """Read, and hold what the project's errors promise; whether the content was accepted."""
    logging.disable(logging.WARNING)  # of rows that are skipped
    try:
        reader.read(folder, content)
    except GnnsegError as error:
        text = str(error)
        if "\n" in text or len(text) >= 3000:
            raise AssertionError(f"not one short line: {text[:3000]!r}") from error
        return False
    finally:
        logging.disable(logging.NOTSET)
    return True


def _choice(content: bytes, names: tuple[str, ...]) -> tuple[str, int, bytes]:
    """A name and a few bits by the first byte, and the rest."""
    first = content[0] if content else 0
    return names[first % len(names)], first // len(names), content[1:]


def _chosen(names: tuple[str, ...], name: str, content: bytes, bits: int = 0) -> bytes:
    return bytes([names.index(name) + len(names) * bits]) + content


def _config(folder: Path, content: bytes) -> None:
    (folder / "c.yaml").write_bytes(content)
    load_config(folder / "c.yaml")


def _config_seeds() -> list[bytes]:
    whole = b"dataset: movielens\nencoder: {name: LightGCN, dim: 8}\nsegmenter: KMeans\nhead: {name: LoRA}\n"
    return [whole, b"dataset: movielens\nbaseline: EASE\nseed: 1\n", *configs().values()]


def _table(folder: Path, content: bytes) -> None:
    ending, bits, content = _choice(content, ENDINGS)
    if ending.endswith(".gz") and bits & 1:
        content = gzip.compress(content, 1)
    (folder / f"t.{ending}").write_bytes(content)
    on_bad_rows = "skip" if bits & 2 else "error"
    Table(folder, interactions=f"t.{ending}", rating="rating", time="time", on_bad_rows=on_bad_rows).load("x")


def _table_seeds() -> list[bytes]:
    seeds = [_chosen(ENDINGS, "csv.gz", GOOD, 1), _chosen(ENDINGS, "jsonl.gz", ROW.encode() * 3, 3)]
    for name, content in tables().items():
        ending = name.partition(".")[2].rpartition(" ")[2]
        if ending in ENDINGS:
            seeds += [_chosen(ENDINGS, ending, content, bits) for bits in (0, 2)]
    return seeds


def _lists(folder: Path, content: bytes) -> None:
    ending, _, content = _choice(content, ("txt", "gz"))
    (folder / f"train.{ending}").write_bytes(content)
    (folder / "test.txt").write_bytes(b"0 3\n")
    AdjacencyLists(folder, train=f"train.{ending}", test="test.txt").load("x")


def _list_seeds() -> list[bytes]:
    packed = [_chosen(("txt", "gz"), "gz", gzip.compress(content)) for content in lists().values()]
    return packed + [_chosen(("txt", "gz"), "txt", content) for content in lists().values()]


def _archive(folder: Path, content: bytes) -> None:
    (folder / "a.zip").write_bytes(content)
    for name in list(members(folder / "a.zip"))[:3]:
        read_member(folder / "a.zip", name, 1_000_000)


def _checkpoint(folder: Path, content: bytes) -> None:
    name, _, content = _choice(content, FILES)
    run = folder / "run"
    unsealed(saved_run(), run)
    (run / name).write_bytes(content)
    try:
        load_run(run).model()
    finally:
        shutil.rmtree(run)


def _checkpoint_seeds() -> list[bytes]:
    run = saved_run()
    return [_chosen(FILES, name, (run / name).read_bytes()) for name in FILES if (run / name).is_file()]


def _resume(folder: Path, content: bytes) -> None:
    """With the right digest where there is a place for one, as whoever makes a file can compute it."""
    mark = b'"sha256":"'
    at = content.find(mark) + len(mark)
    if at >= len(mark) and len(content) >= at + 64:
        digest = hashlib.sha256(content[:at] + b"0" * 64 + content[at + 64 :]).hexdigest()
        content = content[:at] + digest.encode() + content[at + 64 :]
    (folder / RESUME_FILE).write_bytes(content)
    load_resume(folder, load_config(on_data(PLAIN)))


def _resume_seeds() -> list[bytes]:
    import tempfile

    import torch

    with tempfile.TemporaryDirectory() as folder:
        save_resume(Path(folder), load_config(on_data(PLAIN)), {"a": torch.ones(2)}, {"stage": 1})
        return [(Path(folder) / RESUME_FILE).read_bytes(), b"", b"{}"]


READERS = {
    "config": Reader(_config, _config_seeds),
    "table": Reader(_table, _table_seeds),
    "lists": Reader(_lists, _list_seeds),
    "archive": Reader(_archive, lambda: list(archives().values())),
    "checkpoint": Reader(_checkpoint, _checkpoint_seeds),
    "resume": Reader(_resume, _resume_seeds),
}
"""By name, as ``python -m tests.fuzz --readers`` takes them."""


def seeds(name: str) -> list[bytes]:
    """The seeds of a reader that are short enough."""
    return [seed for seed in READERS[name].seeds() if len(seed) <= SHORT]
