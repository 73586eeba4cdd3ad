"""Preparation of a table apart from training: seconds, peak memory and bytes on disk; prints JSON.

    python benchmarks/prepare.py --rows 2e8 --out benchmarks/results/prepare-cpu.json

The table is that of ``tables.py``: a user and an item (both text, Zipf-like), a rating and a time, in parquet
files as a Spark job leaves them. It is prepared in a process of its own, whose peak of resident memory
(``getrusage``) is told, the program's own included. All files are made in a folder that is removed at last.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from shared import output
from tables import SOURCE, add_sizes, write

from gnnseg.config import DatasetConfig
from gnnseg.environment import describe
from gnnseg.preparing import prepare_folder


def prepare(folder: Path, min_items: int, min_users: int) -> dict[str, Any]:
    """Prepare the table and say what that took; for a process of its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    source = {"name": "Table", "interactions": "parquet", **SOURCE}
    filters = {"min_user_items": min_items, "min_item_users": min_users}
    config = DatasetConfig(name="table", folder=str(folder), source=source, filters=filters)
    started = time.perf_counter()
    about = prepare_folder(config, folder / "prepared")
    return {
        "seconds": time.perf_counter() - started,
        "interactions": about["interactions"],
        "users": about["users"],
        "items": about["items"],
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        "imports_mb": before / 2**10,
    }


def size(folder: Path) -> int:
    """Bytes of all files in a folder that may be changing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue
    return total


def watched(command: list[str], folder: Path) -> tuple[dict[str, Any], int]:
    """What a process prints, and the most bytes that its folder in the making had, looked at each second."""
    most, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(1):
            most = max(most, size(folder))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    finally:
        ended.set()
        watcher.join()
    return json.loads(done.stdout), most


def main() -> None:
    """Write, prepare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_sizes(parser)
    parser.add_argument("--min-items", type=int, default=5, help="Of a user.")
    parser.add_argument("--min-users", type=int, default=5, help="Of an item.")
    parser.add_argument("--folder", type=Path, help="Where the files are made.  [default: the system's]")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(prepare(options.child, options.min_items, options.min_users)))
        return
    with tempfile.TemporaryDirectory(prefix="gnnseg-prepare-", dir=options.folder) as made:
        folder, rows = Path(made), int(options.rows)
        (folder / "parquet").mkdir()
        write(folder / "parquet", "parquet", rows, int(options.users), int(options.items), int(options.part))
        least = [f"--min-items={options.min_items}", f"--min-users={options.min_users}"]
        command = [sys.executable, __file__, "--child", str(folder), *least]
        found, most = watched(command, folder / ".prepared.partial")
        sizes = {"table_bytes": size(folder / "parquet"), "bytes": size(folder / "prepared")}
    result = {"rows": rows, **found, "rows_per_second": rows / found["seconds"], **sizes}
    environment = describe(torch.device("cpu"))
    output({**result, "most_bytes_while_preparing": most, "environment": environment}, options.out)


if __name__ == "__main__":
    main()
