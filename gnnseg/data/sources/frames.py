"""Tables in memory."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from gnnseg.errors import DataError
from gnnseg.files import home

Frame = Any
"""Of pandas or polars (lazy or not), an Arrow table, or anything with the Arrow PyCapsule interface."""


def from_frames(
    interactions: Frame,
    *,
    items: Frame | None = None,
    users: Frame | None = None,
    folder: Path | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """Keep frames as parquet files, and give the source that reads them.

    A run must be able to read its data again, to be evaluated or repeated, hence the files. They are named by
    their content: equal frames are kept once.

    >>> source = from_frames(bought, user="customer", item="sku")  # doctest: +SKIP
    >>> gnnseg.fit({"dataset": {"source": source}, "baseline": "EASE"})  # doctest: +SKIP

    Args:
        interactions: One interaction a row. An index of pandas is no column.
        items: What is known of items.
        users: What is known of users.
        folder: Where the files go; by default ``frames`` in ``gnnseg.files.home()``.
        columns: Of ``Table``: which columns are what.

    Returns:
        A ``source:`` as a config has it.

    Raises:
        ConfigError: For an unknown or wrong one of ``columns``.
        DataError: If something is no frame, or holds what parquet cannot.
    """
    from gnnseg.data.sources import SOURCES  # here, as it is made of this module

    optional = {"items": items, "users": users}
    given = {"interactions": interactions, **{k: f for k, f in optional.items() if f is not None}}
    SOURCES.create({"name": "Table", **dict.fromkeys(given, ""), **columns}, Path())
    kept = (folder or home() / "frames").absolute()
    files = {name: str(_keep(frame, name, kept)) for name, frame in given.items()}
    return {"name": "Table", **files, **columns}


def _keep(frame: Frame, name: str, folder: Path) -> Path:
    """Write a frame under the digest of the file it makes."""
    rows = _lazy(frame, name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".frame-", dir=folder) as inside:
            path = Path(inside) / "frame.parquet"
            rows.sink_parquet(path, engine="streaming")
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
            return path.replace(folder / f"{digest}.parquet")
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DataError(f"'{name}' cannot be kept in '{folder}': {reason}") from None


def _lazy(frame: Frame, name: str) -> pl.LazyFrame:
    if isinstance(frame, pl.LazyFrame):
        return frame
    if isinstance(frame, pl.DataFrame):
        return frame.lazy()
    made: object = None
    try:
        if type(frame).__module__.partition(".")[0] == "pandas":
            made = pl.from_pandas(frame)  # NaN becomes null, as pandas means it
        elif hasattr(frame, "__arrow_c_stream__"):
            made = pl.DataFrame(frame)
    except Exception as error:  # each library fails in its own ways
        raise DataError(f"'{name}' cannot be read as a frame: {str(error).splitlines()[0]}") from None
    if not isinstance(made, pl.DataFrame):
        raise DataError(
            f"'{name}' must be a frame of pandas or polars, or an Arrow table (got {type(frame).__name__})"
        )
    return made.lazy()
