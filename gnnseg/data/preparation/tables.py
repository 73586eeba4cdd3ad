"""From tables to a folder of prepared data, in steps that hold a block of rows or a range of users."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gnnseg.data.dataset import Dataset
from gnnseg.data.filters import Filters
from gnnseg.data.ids import IdMap, IntArray
from gnnseg.data.interactions import Interactions
from gnnseg.data.preparation.columns import ArrayFile
from gnnseg.data.preparation.folder import write_described
from gnnseg.data.preparation.ranges import Ranges
from gnnseg.data.preparation.spilled import Spilled
from gnnseg.data.sources.tables import Tables

_NONE = np.empty(0, dtype=np.int64)


def prepare_tables(source: Tables, filters: Filters, name: str, folder: Path) -> dict[str, int]:
    """Read, number, filter and sort tables into a folder, which means what is read and filtered in memory.

    Memory holds the ids, about 3 bytes a row, and a range of users; the disk up to 57 bytes a row until it
    is done.

    Args:
        source: The tables.
        filters: What is kept.
        name: What messages call the dataset.
        folder: Where the files go; it is there and empty.

    Returns:
        Numbers of users, items and interactions.

    Raises:
        DataError: As for reading and filtering in memory.
    """
    scratch = folder / "scratch"
    scratch.mkdir()
    found = Spilled(source.columns, source.problems, scratch)
    source.gather(found)
    (user_ids, user_rows), (item_ids, item_rows) = found.ordered()
    sizes = len(user_ids), len(item_ids)
    ids = IdMap(user_ids, "user"), IdMap(item_ids, "item")
    dataset = source.described(Dataset(name, Interactions(_NONE, _NONE), *ids))
    filters.check_columns("rating" in (found.record.names or ()))
    ranges = Ranges(scratch, found.record, found.user_counts(user_rows, sizes[0]))
    for rows in found.rows(user_rows, item_rows):
        good = slice(None) if filters.min_rating is None else rows["rating"] >= filters.min_rating
        ranges.add(rows[good])
    found.remove()
    ranges.deduplicate(filters)
    users, items = ranges.core(*sizes, filters.min_user_items, filters.min_item_users)
    if not users.any():
        raise filters.nothing_left(name, found.total)
    write_described(folder, dataset.narrowed(np.flatnonzero(users), np.flatnonzero(items)))
    _write_pairs(folder, ranges, users, items)
    shutil.rmtree(scratch)
    return {
        "users": int((users > 0).sum()),
        "items": int((items > 0).sum()),
        "interactions": int(users.sum()),
    }


def _write_pairs(folder: Path, ranges: Ranges, users: IntArray, items: IntArray) -> None:
    """Write the arrays of pairs, a range of users at a time.

    Args:
        folder: Where they go.
        ranges: Rows sorted by user and item; each range is removed when it is written.
        users: Rows of each user, ``[U]``; who has none is left out.
        items: Rows of each item, ``[I]``; what has none is left out.
    """
    starts = np.concatenate([[0], np.cumsum(users[users > 0])])
    count, number = int(starts[-1]), np.cumsum(items > 0) - 1
    place = np.int32 if count < np.iinfo(np.int32).max else np.int64
    kinds: dict[str, tuple[str, npt.DTypeLike]] = {"item": ("items", np.int32), "place": ("places", place)}
    kinds |= {"rating": ("ratings", np.float64), "time": ("times", np.int64)}
    columns = {
        field: ArrayFile(folder / f"{kinds[field][0]}.npy", kinds[field][1], count)
        for field in ranges.record.names or ()
        if field in kinds
    }
    ArrayFile(folder / "starts.npy", np.int64, len(starts)).append(starts)
    ranks = ranges.ranks()
    for file in ranges.files:
        rows = file.read()
        rows["item"], rows["place"] = number[rows["item"]], ranks.of(rows["place"])
        for field, column in columns.items():
            column.append(rows[field])
        file.path.unlink()
