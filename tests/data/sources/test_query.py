"""Answers of real databases: SQLite, and PostgreSQL where its server can be started."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gnnseg.config import load_config
from gnnseg.data import SOURCES, Dataset
from gnnseg.data.sources import Query, Table, connection
from gnnseg.errors import ConfigError, DataError

sqlalchemy = pytest.importorskip("sqlalchemy")

TABLES = """
CREATE TABLE bought (customer INTEGER, sku TEXT, amount NUMERIC(8, 2), at TIMESTAMP);
INSERT INTO bought VALUES (7, 'b', 1, '2020-01-01 00:00:00'), (3, 'a', 2.5, '2020-01-02 00:00:00'),
  (7, 'a', 3, '2020-01-03 00:00:00'), (10, 'b', 2, '2020-01-01 12:00:00');
CREATE TABLE goods (sku TEXT, title TEXT);
INSERT INTO goods VALUES ('a', 'An % apple: red'), ('b', NULL), ('c', 'C');
CREATE TABLE people (id INTEGER, city TEXT);
INSERT INTO people VALUES (3, 'Oslo'), (7, NULL);
"""

QUERIES: dict[str, Any] = {
    "interactions": "SELECT customer, sku, amount, at FROM bought "
    "WHERE sku LIKE '%' AND sku <> ':b' ORDER BY customer, at",
    "items": "SELECT * FROM goods",
    "users": "SELECT id, city FROM people",
    "user": "customer",
    "item": "sku",
    "rating": "amount",
    "time": "at",
    "text": ["title"],
    "user_key": "id",
}


def assert_read(source: Query) -> None:
    found = source.load("d")
    assert found.users.ids == ("10", "3", "7")
    assert found.items.ids == ("a", "b")
    assert found.interactions.users.tolist() == [1, 2, 2, 0]
    assert found.interactions.items.tolist() == [0, 1, 0, 1]
    assert found.interactions.weights.tolist() == [2.5, 1, 3, 2]
    assert found.interactions.times.tolist() == [1577923200, 1577836800, 1578009600, 1577880000]
    assert found.texts == ("An % apple: red", "")
    assert found.user_table["city"].to_list() == [None, "Oslo", None]
    assert {(u["table"], tuple(u["examples"])) for u in source.problems.unmatched} == {
        ("query 'items'", ("c",)),
        ("query 'users'", ("10",)),
    }


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with ``shop.db``."""
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executescript(TABLES)
    database.close()
    return tmp_path


def query(folder: Path, sql: str, **options: Any) -> Dataset:
    return Query(folder, connection="sqlite:///shop.db", interactions=sql, **options).load("d")


class TestSQLite:
    @pytest.mark.parametrize("rows", [1, 3, 100])
    def test_read(self, shop: Path, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "ROWS", rows)
        assert_read(Query(shop, connection="sqlite:///shop.db", **QUERIES))
        assert_read(Query(Path("elsewhere"), connection=f"sqlite:///{shop}/shop.db", **QUERIES))
        monkeypatch.setenv("SHOP", "shop.db")
        assert_read(Query(shop, connection="sqlite:///${SHOP}", **QUERIES))

    def test_the_same_as_from_files(self, shop: Path) -> None:
        (shop / "t.csv").write_text("user,item\n7,b\n3,a\n7,a\n10,b\n")
        sql = "SELECT customer AS user, sku AS item FROM bought ORDER BY rowid"
        assert query(shop, sql).digest == Table(shop, interactions="t.csv").load("d").digest

    def test_types_as_they_come(self, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        sql = "SELECT 1 AS user, 'x' AS item UNION ALL SELECT 1.0, 2 UNION ALL SELECT '1', 2.0"
        for rows in (1, 100):
            monkeypatch.setattr(connection, "ROWS", rows)
            found = query(shop, sql)
            assert (found.users.ids, sorted(found.items.ids)) == (("1",), ["2", "x"])

    def test_bad_rows_have_numbers(self, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(connection, "ROWS", 2)
        sql = (
            "SELECT 1 AS user, 2 AS item UNION ALL SELECT 2, 2 UNION ALL SELECT 3, 2 UNION ALL SELECT 4, NULL"
        )
        with pytest.raises(DataError, match="query 'interactions' row 4: 'item' must hold an id"):
            query(shop, sql)
        assert query(shop, sql, on_bad_rows="skip").users.ids == ("1", "2", "3")

    @pytest.mark.parametrize(
        ("sql", "problem"),
        [
            ("SELECT * FROM sold", "query 'interactions' to 'sqlite:///shop.db' failed: no such table: sold"),
            ("SELEC 1", "syntax error"),
            ("SELECT customer AS usr, sku AS item FROM bought", "unknown column 'user'; did you mean 'usr'?"),
            ("SELECT 1 AS user, 2 AS item WHERE 0", "query 'interactions' has no rows"),
            ("SELECT 1 AS user, x'00' AS item", r"text, numbers and times \(got bytes\)"),
            ("SELECT 1 AS user, 2 AS item, 3 AS item", "must name its columns apart"),
            ("DELETE FROM bought", "must be a query that answers with rows"),
        ],
    )
    def test_bad_queries(self, shop: Path, sql: str, problem: str) -> None:
        with pytest.raises(DataError, match=problem) as caught:
            query(shop, sql)
        assert "\n" not in str(caught.value)
        assert len(query(shop, "SELECT customer AS user, sku AS item FROM bought").interactions) == 4

    def test_no_database(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"cannot read '.*shop\.db': No such file"):
            query(tmp_path, "SELECT 1 AS user, 1 AS item")
        assert not list(tmp_path.iterdir())


class TestConnection:
    @pytest.mark.parametrize(
        "text",
        [
            "postgresql://me:hunter2@host/shop",
            "postgresql://me:hun@ter2@host/shop",
            "postgresql://me:${A}hunter2@host/shop",
            "postgresql://host/shop?user=me&password=hunter2",
            "postgresql://host/shop?sslpassword=hunter2&a=1",
        ],
    )
    def test_a_password_is_refused_and_not_shown(self, text: str) -> None:
        spec = {"name": "Query", "connection": text, "interactions": "SELECT 1"}
        for make in (
            SOURCES.resolve,
            lambda spec: load_config({"dataset": {"source": spec}, "baseline": "EASE"}),
        ):
            with pytest.raises(ConfigError, match="must not hold a password") as caught:
                make(spec)
            assert "ter2" not in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        ["postgresql://me:${PASSWORD}@host/shop", "postgresql://h/d?password=${P}&a=1", "${URL}", "x://me@h"],
    )
    def test_variables_are_kept(self, text: str) -> None:
        spec = {"name": "Query", "connection": text, "interactions": "SELECT 1"}
        assert SOURCES.resolve(spec)["connection"] == text

    def test_a_variable_that_is_not_set(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NOT_SET", raising=False)
        source = Query(tmp_path, connection="sqlite:///${NOT_SET}", interactions="SELECT 1")
        with pytest.raises(ConfigError, match="needs the environment variable NOT_SET, which is not set"):
            source.load("d")

    @pytest.mark.parametrize("text", ["nonsense", "${SECRET}", "oraculum://me:${SECRET}@host/x"])
    def test_what_is_no_url(self, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET", "hunter2")
        with pytest.raises(ConfigError) as caught:
            Query(tmp_path, connection=text, interactions="SELECT 1").load("d")
        assert "hunter2" not in str(caught.value)
        assert text in str(caught.value)


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server in /usr/lib/postgresql")
    return found[-1].parent


def _as_other_user(folder: Path) -> dict[str, Any]:
    """Arguments of ``subprocess.run``, as the server refuses to run as root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(folder, user.pw_uid, user.pw_gid)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to run as root, and there is no other user")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """URL of a server of its own on the loopback address, whose password is in PGTEST_PASSWORD."""
    pytest.importorskip("psycopg")
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="gnnseg-pg-", dir="/tmp"))
    options: dict[str, Any] = {"cwd": folder, "check": True, "capture_output": True, "timeout": 60}
    try:
        options |= _as_other_user(folder)
        secret = folder / "secret"
        secret.write_text("p@ss/word")
        secret.chmod(0o644)
        data = str(folder / "data")
        init = [binaries / "initdb", "-D", data, "-U", "me", "-A", "scram-sha-256", "--pwfile", secret, "-N"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        start = [binaries / "pg_ctl", "-D", data, "-o", settings, "-l", str(folder / "log"), "-w", "start"]
        try:
            subprocess.run(init, **options)
            subprocess.run(start, **options)
        except (OSError, subprocess.SubprocessError) as error:
            pytest.skip(f"PostgreSQL does not start: {getattr(error, 'stderr', None) or error}")
        try:
            yield f"127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], **options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class TestPostgreSQL:
    def test_read(self, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import psycopg

        monkeypatch.setenv("PGTEST_PASSWORD", "p@ss/word")
        with psycopg.connect(f"postgresql://me:p%40ss%2Fword@{postgres}") as database:
            database.execute(TABLES)
        url = "postgresql+psycopg://me:${PGTEST_PASSWORD}@" + postgres
        assert_read(Query(tmp_path, connection=url, **QUERIES))
        monkeypatch.setattr(connection, "ROWS", 1)
        assert_read(Query(tmp_path, connection=url, **QUERIES))
        with pytest.raises(DataError, match='relation "sold" does not exist'):
            Query(tmp_path, connection=url, interactions="SELECT * FROM sold").load("d")
        with pytest.raises(DataError, match=r"syntax error at or near .DELETE."):
            Query(tmp_path, connection=url, interactions="DELETE FROM bought RETURNING *").load("d")
        assert_read(Query(tmp_path, connection=url, **QUERIES))

    def test_a_wrong_password_is_not_shown(
        self, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PGTEST_PASSWORD", "hunter2")
        url = "postgresql+psycopg://me:${PGTEST_PASSWORD}@" + postgres
        with pytest.raises(DataError, match="password authentication failed") as caught:
            Query(tmp_path, connection=url, interactions="SELECT 1").load("d")
        assert "hunter2" not in str(caught.value)
        assert caught.value.__suppress_context__
