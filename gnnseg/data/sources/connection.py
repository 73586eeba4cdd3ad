"""Connections to databases: secrets come from the environment and never leave this module."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import AfterValidator

from gnnseg.data.ids import id_text
from gnnseg.errors import ConfigError, DataError

ROWS = 50_000
"""Rows fetched at once."""

_COLON = re.compile(r"(?<![:\w\\]):(?=\w)")  # what SQLAlchemy would take for a parameter
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_SECRET = re.compile(r"[?&;]\w*(?:pass|pwd|secret|token)\w*=(?!\$\{\w+\}(?:[&;]|$))[^&;]", re.IGNORECASE)


def _without_secrets(connection: str) -> str:
    """A connection string as it may be saved.

    Raises:
        ConfigError: If a password stands in it.
    """
    user = connection.partition("://")[2].rpartition("@")[0]
    password = user.partition(":")[2]
    if (password and not _VARIABLE.fullmatch(password)) or _SECRET.search(connection):
        raise ConfigError(
            "'connection' must not hold a password, as configs are saved; write ${NAME} for it and set "
            "the environment variable NAME"
        )
    return connection


Connection = Annotated[str, AfterValidator(_without_secrets)]
"""A URL of SQLAlchemy; ``${NAME}`` stands for an environment variable."""


class Database:
    """Reads from a database.

    Args:
        connection: See :data:`Connection`.
        folder: What the path of a SQLite file is relative to.

    Raises:
        ConfigError: If a variable is not set, the URL is none, or a library is missing.
        DataError: If there is no such SQLite file.
    """

    def __init__(self, connection: str, folder: Path) -> None:
        try:
            import sqlalchemy
        except ImportError:
            raise ConfigError('Query needs SQLAlchemy; pip install "gnnseg[sql]"') from None
        self.shown = connection
        self._secrets: list[str] = []
        try:
            url = sqlalchemy.make_url(self._expanded())
            if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
                url = url.set(database=str(_existing(folder / str(url.database))))
            self._engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        except (sqlalchemy.exc.ArgumentError, ValueError) as error:
            if isinstance(error, DataError | ConfigError):
                raise
            raise ConfigError(
                f"'connection' must be a URL such as postgresql+psycopg://user:${{NAME}}@host/database "
                f"(got '{connection}')"
            ) from None
        except ImportError as error:
            raise ConfigError(f"'{connection}' needs a driver: {error}; pip install it") from None

    def pieces(self, query: str, title: str) -> Iterator[tuple[list[str], list[list[str | None]]]]:
        """The answer to a query, some rows at a time: names of the columns, and each row as text.

        The database is left as it was: nothing is committed.

        Args:
            query: SQL.
            title: What messages call it.

        Raises:
            DataError: If the database cannot be reached, refuses the query, or answers with bytes.
        """
        import sqlalchemy

        try:
            with (
                self._engine.connect() as connection,
                contextlib.closing(
                    connection.execute(
                        sqlalchemy.text(_COLON.sub(r"\:", query)),
                        execution_options={"stream_results": True, "max_row_buffer": ROWS},
                    )
                ) as answer,
            ):
                if not answer.returns_rows:
                    raise DataError(f"{title} must be a query that answers with rows, such as SELECT ...")
                names = list(answer.keys())
                yield names, []
                for rows in answer.partitions(ROWS):
                    yield names, [[_text(value, title) for value in row] for row in rows]
        except sqlalchemy.exc.SQLAlchemyError as error:
            reason = self._hidden(str(getattr(error, "orig", None) or error))
            raise DataError(f"{title} to '{self.shown}' failed: {reason}") from None

    def _expanded(self) -> str:
        """The connection string with the values of its variables, those before ``@`` escaped."""
        at = self.shown.rfind("@")

        def value(found: re.Match[str]) -> str:
            if (given := os.environ.get(found[1])) is None:
                raise ConfigError(f"'connection' needs the environment variable {found[1]}, which is not set")
            escaped = quote(given, safe="") if found.start() < at else given
            self._secrets += [secret for secret in (given, escaped) if secret]
            return escaped

        return _VARIABLE.sub(value, self.shown)

    def _hidden(self, message: str) -> str:
        """A message in one line, values of variables left out."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            message = message.replace(secret, "***")
        return " ".join(message.split())[:300]


def _existing(path: Path) -> Path:
    if not path.is_file():  # SQLite would make an empty one
        raise DataError(f"cannot read '{path}': No such file or directory")
    return path


def _text(value: Any, title: str) -> str | None:
    """A value of a database as text; no value is None."""
    if value is None:
        return None
    if isinstance(value, bytes | memoryview):
        raise DataError(
            f"{title} must answer with text, numbers and times (got bytes); leave that column out"
        )
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, Decimal):
        return str(int(value)) if value.is_finite() and value == value.to_integral_value() else str(value)
    return id_text(value)
