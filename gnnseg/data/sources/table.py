"""Tables in files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gnnseg.data.sources.parts import Part, find, open_file, open_repaired
from gnnseg.data.sources.tables import Tables


class Table(Tables):
    """csv, tsv, jsonl or parquet files with one interaction a row.

    A table is a file, a folder of files or a pattern such as ``days/*.parquet``; csv, tsv and jsonl may be
    compressed (gz, zst). Files are read piece by piece, so that a table may be larger than memory.

    Args:
        folder: What the paths are relative to.
        interactions: Files of interactions.
        items: Files of items.
        users: Files of users.
        kwargs: Columns and texts, see :class:`Tables`.

    Raises:
        ConfigError: If columns are named of a table that is missing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        interactions: str,
        items: str | None = None,
        users: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.interactions, self.items, self.users = interactions, items, users
        super().__init__(folder, **kwargs)

    def parts(self, table: str, columns: Sequence[str], stack: ExitStack) -> list[Part]:
        """A part for each file."""
        name = getattr(self, table)
        if table != "interactions":
            return [open_file(path, columns, as_text=False) for path in find(self.folder, name)]
        if self.problems.on_bad_rows == "skip":
            return [open_repaired(path, columns, self.problems, stack) for path in find(self.folder, name)]
        return [open_file(path, columns, as_text=True) for path in find(self.folder, name)]

    def files(self) -> list[Path]:
        """All files of all tables."""
        names = [name for name in (self.interactions, self.items, self.users) if name is not None]
        return [path for name in names for path in find(self.folder, name)]

    def title(self, table: str) -> str:
        """Its path in quotes."""
        return f"'{self.folder / getattr(self, table)}'"
