"""The folder of prepared data: pairs sorted by user, mapped by numpy, and what is known of users and items.

``starts.npy`` ``[U + 1]`` and ``items.npy`` ``[n]`` are a matrix in CSR with sorted columns, 32 bits an item;
``places.npy`` tells where each pair stands in the order of the table, which splits go by; ``ratings.npy`` and
``times.npy`` are there if the table has such columns. Ids, texts and the users' table are parquet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IdMap, IntArray
from gnnseg.data.interactions import Interactions
from gnnseg.data.preparation.columns import BLOCK
from gnnseg.errors import CheckpointError, DataError
from gnnseg.files import write_json
from gnnseg.manifest import MANIFEST, check_parts

ABOUT = "prepared.json"
"""``{"format": 1, "users": 0, "items": 0, "interactions": 0, "settings": {}}``"""

FORMAT = 1

_TEXTS = ("texts", "titles", "tags")
_ID = "id"


def write_described(folder: Path, dataset: Dataset) -> None:
    """Write ids, texts, titles, tags and the users' table; pairs are no part of this."""
    pl.DataFrame({_ID: dataset.users.ids}, schema={_ID: pl.String}).write_parquet(folder / "users.parquet")
    known = {name: value for name in _TEXTS if (value := getattr(dataset, name)) is not None}
    types = {_ID: pl.String(), "texts": pl.String(), "titles": pl.String(), "tags": pl.List(pl.String)}
    columns = {_ID: dataset.items.ids, **known}
    items = pl.DataFrame(
        {name: list(map(list, column)) if name == "tags" else column for name, column in columns.items()},
        schema={name: types[name] for name in columns},
    )
    items.write_parquet(folder / "items.parquet")
    if dataset.user_table is not None:
        dataset.user_table.write_parquet(folder / "user_table.parquet")


def write_about(folder: Path, sizes: dict[str, int], settings: dict[str, Any]) -> None:
    """Say what the folder holds and how it was made."""
    write_json(folder / ABOUT, {"format": FORMAT, **sizes, "settings": settings})


def read_about(folder: Path) -> dict[str, Any]:
    """What a whole folder says of itself; all its parts are compared with its manifest.

    Raises:
        DataError: If it is not there, is unfinished, damaged or of another version.
    """
    if not (folder / ABOUT).is_file() or not (folder / MANIFEST).is_file():
        raise DataError(f"'{folder}' is no folder that `gnnseg data prepare` has finished")
    try:
        check_parts(folder)
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except CheckpointError as error:
        raise DataError(f"{str(error).partition(';')[0]}; prepare '{folder}' again") from None
    except (OSError, RecursionError, ValueError):
        about = None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise DataError(f"'{folder}' was prepared by another version of gnnseg; prepare it again")
    return about


def read_folder(folder: Path, name: str) -> Dataset:
    """The dataset that was prepared, its pairs in the order of the table.

    Args:
        folder: As ``gnnseg data prepare`` made it.
        name: What the dataset is to be called.

    Raises:
        DataError: If the folder is unfinished, damaged or of another version.
    """
    about = read_about(folder)
    try:
        return _read(folder, name, int(about["interactions"]))
    except (OSError, IndexError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DataError(f"cannot read '{folder}': {reason}; prepare it again") from None


def _read(folder: Path, name: str, count: int) -> Dataset:
    users = pl.read_parquet(folder / "users.parquet", glob=False)
    items = pl.read_parquet(folder / "items.parquet", glob=False)
    table = folder / "user_table.parquet"
    known: dict[str, Any] = {key: tuple(items[key].to_list()) for key in _TEXTS if key in items.columns}
    if "tags" in known:
        known["tags"] = tuple(tuple(labels) for labels in known["tags"])
    return Dataset(
        name,
        _interactions(folder, len(users), count),
        IdMap(users[_ID], "user"),
        IdMap(items[_ID], "item"),
        user_table=pl.read_parquet(table, glob=False) if table.is_file() else None,
        **known,
    )


def _interactions(folder: Path, num_users: int, count: int) -> Interactions:
    """All pairs in the order of the table; of what is mapped a block is in memory at once."""
    starts, places = _mapped(folder, "starts", num_users + 1), _mapped(folder, "places", count)
    columns = {"items": np.int64, "weights": np.float64, "times": np.int64}
    files = {"items": "items", "weights": "ratings", "times": "times"}
    there = {key: files[key] for key in columns if (folder / f"{files[key]}.npy").is_file()}
    sources = {key: _mapped(folder, file, count) for key, file in there.items()}
    whole = {key: np.empty(count, dtype=columns[key]) for key in sources}
    users = np.empty(count, dtype=np.int64)
    for first, last in _user_blocks(starts):
        part = slice(int(starts[first]), int(starts[last]))
        to = places[part]
        users[to] = np.repeat(np.arange(first, last), np.diff(starts[first : last + 1]))
        for key, source in sources.items():
            whole[key][to] = source[part]
    return replace(Interactions(users, whole.pop("items")), **whole)


def _user_blocks(starts: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of users with about ``BLOCK`` pairs each, first and end."""
    edges = np.arange(0, int(starts[-1]), BLOCK)
    cuts = np.unique([*np.searchsorted(starts, edges, side="right") - 1, len(starts) - 1])
    return pairwise(cuts.tolist())


def _mapped(folder: Path, name: str, length: int) -> np.ndarray:
    array: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    if array.shape != (length,):
        raise ValueError(f"'{name}.npy' must have {length} numbers (got {array.shape})")
    return array
