"""Tables in databases."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import polars as pl

from gnnseg.data.sources.connection import Connection, Database
from gnnseg.data.sources.parts import Part
from gnnseg.data.sources.tables import Tables
from gnnseg.errors import DataError, unknown


class Query(Tables):
    """Answers of a database to SQL queries, by SQLAlchemy (extra ``sql``).

    An answer is read once, in pieces that are kept on disk until they are numbered, so that it may be larger
    than memory. Its values are taken as text, as those of a csv file are.

    Args:
        folder: What the path of a SQLite file is relative to.
        connection: URL such as ``sqlite:///shop.db`` or ``postgresql+psycopg://me:${PASSWORD}@host/shop``.
            ``${NAME}`` stands for an environment variable; a password must be one.
        interactions: Query whose answer has one interaction a row.
        items: Query for items.
        users: Query for users.
        kwargs: Columns and texts, see :class:`Tables`.

    Raises:
        ConfigError: If the connection holds a password, or columns are named of a query that is missing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        connection: Connection,
        interactions: str,
        items: str | None = None,
        users: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.connection = connection
        self.interactions, self.items, self.users = interactions, items, users
        super().__init__(folder, **kwargs)

    def parts(self, table: str, columns: Sequence[str], stack: ExitStack) -> list[Part]:
        """A part for each piece of the answer."""
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gnnseg-")))
        title, rows = self.title(table), 0
        parts: list[Part] = []
        database = Database(self.connection, self.folder)
        for names, values in database.pieces(getattr(self, table), title):
            for column in columns:
                if column not in names:
                    raise DataError(f"{title}: {unknown('column', column, names)}")
            if len(set(names)) < len(names):
                raise DataError(f"{title} must name its columns apart (got {', '.join(names)})")
            path = folder / f"{len(parts):06}.parquet"
            schema = dict.fromkeys(names, pl.String)
            pl.DataFrame(values, schema=schema, orient="row").write_parquet(path)
            parts.append(Part(title, pl.scan_parquet(path, glob=False), offset=rows))
            rows += len(values)
        return parts

    def title(self, table: str) -> str:
        """``query 'items'``, say."""
        return f"query '{table}'"
