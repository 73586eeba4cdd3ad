"""A table larger than memory should hold: seconds and peak memory of reading it; prints JSON.

    python benchmarks/tables.py --rows 1e8 --out benchmarks/results/tables-cpu.json

Rows have a user, an item (both text, Zipf-like), a rating and a time in seconds. They are written in files of
``--part`` rows into a folder that is removed at the end; a csv file alone is one file. Each format is read by
``Table`` in a process of its own, so that the peak is of reading alone: resident memory, with pages of mapped
files. What must stay is 32 bytes a row and the ids.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from shared import output, peak

from gnnseg.data.sources import Table
from gnnseg.environment import describe
from gnnseg.seeding import numpy_rng

SOURCE = {"user": "user", "item": "item", "rating": "rating", "time": "time"}


def write(folder: Path, kind: str, rows: int, users: int, items: int, part: int) -> None:
    """Write the table, a block of ``part`` rows at a time: a file each of parquet, or all in one csv file."""
    rng = numpy_rng(0, "tables")
    for number, start in enumerate(range(0, rows, part)):
        size = min(part, rows - start)
        frame = pl.DataFrame(
            {
                "user": (rng.random(size) ** 2 * users).astype(np.int64),
                "item": (rng.random(size) ** 3 * items).astype(np.int64),
                "rating": rng.integers(1, 11, size=size) / 2,
                "time": rng.integers(1_500_000_000, 1_700_000_000, size=size),
            }
        ).with_columns(pl.format("u{}", "user").alias("user"), pl.format("i{}", "item").alias("item"))
        if kind == "parquet":
            frame.write_parquet(folder / f"{number:05}.parquet")
        else:
            with (folder / "table.csv").open("ab") as file:
                frame.write_csv(file, include_header=number == 0)


def read(folder: Path) -> dict[str, Any]:
    """Read the table and say what that took; for a process of its own."""
    before = peak(torch.device("cpu"))
    started = time.perf_counter()
    dataset = Table(folder.parent, interactions=folder.name, **SOURCE).load("table")
    return {
        "seconds": time.perf_counter() - started,
        "rows": len(dataset.interactions),
        "users": dataset.num_users,
        "items": dataset.num_items,
        "peak_memory_mb": peak(torch.device("cpu")),
        "imports_mb": before,
    }


def measure(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """Write one format, and read it in another process."""
    with tempfile.TemporaryDirectory(prefix="gnnseg-tables-", dir=options.folder) as made:
        folder = Path(made) / kind
        folder.mkdir()
        write(folder, kind, int(options.rows), int(options.users), int(options.items), int(options.part))
        size = sum(path.stat().st_size for path in folder.iterdir())
        command = [sys.executable, __file__, "--read", str(folder)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {
        "format": kind,
        "bytes": size,
        **found,
        "rows_per_second": found["rows"] / found["seconds"],
    }


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """What :func:`write` takes."""
    parser.add_argument("--rows", type=float, default=1e7)
    parser.add_argument("--users", type=float, default=1e6)
    parser.add_argument("--items", type=float, default=1e5)
    parser.add_argument("--part", type=float, default=5e6, help="Rows written at once.")


def main() -> None:
    """Write, read, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_sizes(parser)
    parser.add_argument("--formats", default="parquet,csv")
    parser.add_argument("--folder", type=Path, help="Where the tables are written.  [default: the system's]")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.read is not None:
        print(json.dumps(read(options.read)))
        return
    tables = [measure(kind, options) for kind in options.formats.split(",")]
    output({"tables": tables, "environment": describe(torch.device("cpu"))}, options.out)


if __name__ == "__main__":
    main()
