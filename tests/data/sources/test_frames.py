from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import gnnseg
from gnnseg.data import SOURCES, Dataset
from gnnseg.data.sources import from_frames
from gnnseg.errors import ConfigError, DataError
from tests.runs import pairs

DATA = {
    "user": [7, 3, 7],
    "item": ["b", "a", "a"],
    "stars": [1.0, 2.0, 3.0],
    "at": [datetime(2020, 1, 1), datetime(2020, 1, 2), datetime(2020, 1, 3)],
}
ITEMS = {"item": ["a", "b"], "title": ["A", None], "by": ["X", "Y"]}
USERS = {"user": [3, 7], "age": [30, 70]}


def made(kind: str, data: dict[str, list[Any]]) -> Any:
    if kind == "pandas":
        return pytest.importorskip("pandas").DataFrame(data)
    if kind == "arrow":
        return pytest.importorskip("pyarrow").table(data)
    return pl.LazyFrame(data) if kind == "lazy" else pl.DataFrame(data)


def load(source: dict[str, Any]) -> Dataset:
    return SOURCES.create(source, Path("nowhere")).load("d")


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "arrow"])
def test_every_kind_of_frame(kind: str, tmp_path: Path) -> None:
    source = from_frames(
        made(kind, DATA),
        items=made(kind, ITEMS),
        users=made(kind, USERS),
        folder=tmp_path,
        rating="stars",
        time="at",
        text=["title", "by"],
    )
    found = load(source)
    assert (found.users.ids, found.items.ids) == (("3", "7"), ("a", "b"))
    assert found.interactions.users.tolist() == [1, 0, 1]
    assert found.interactions.weights.tolist() == [1, 2, 3]
    assert found.interactions.times.tolist() == [1577836800 + 86400 * day for day in range(3)]
    assert found.texts == ("A. X", "Y")
    assert found.user_table.to_dict(as_series=False) == {"age": [30, 70]}


def test_missing_ids_of_pandas_are_missing(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"user": [1, None, 2], "item": ["a", "b", "c"]})  # user is float with NaN
    with pytest.raises(DataError, match="row 2: 'user' must hold an id"):
        load(from_frames(frame, folder=tmp_path))
    assert load(from_frames(frame, folder=tmp_path, on_bad_rows="skip")).users.ids == ("1", "2")


def test_equal_frames_are_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNNSEG_HOME", str(tmp_path))
    assert from_frames(made("polars", DATA)) == from_frames(made("lazy", DATA))
    assert [path.suffix for path in (tmp_path / "frames").iterdir()] == [".parquet"]
    from_frames(made("polars", USERS | {"item": [1, 2]}))
    assert len(list((tmp_path / "frames").iterdir())) == 2


def test_a_run_on_frames_can_be_repeated(tmp_path: Path) -> None:
    frame = pl.DataFrame(pairs(), schema=["who", "what"], orient="row")
    source = from_frames(frame, folder=tmp_path / "kept", user="who", item="what")
    config = {"dataset": {"source": source}, "baseline": "Popularity", "device": "cpu"}
    run = gnnseg.fit(config, out=tmp_path / "run")
    assert gnnseg.fit(tmp_path / "run" / "config.yaml").metrics == run.metrics


@pytest.mark.parametrize("frame", [None, [1], {"user": [1]}, "t.csv", 3])
def test_no_frame(frame: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'interactions' must be a frame of pandas or polars, or an Arrow"):
        from_frames(frame, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_wrong_columns(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'usr'; did you mean 'user'"):
        from_frames(made("polars", DATA), usr="user", folder=tmp_path)
    with pytest.raises(ConfigError, match="columns of 'items', which is missing"):
        from_frames(made("polars", DATA), text=["title"], folder=tmp_path)
    with pytest.raises(DataError, match="unknown column 'users'; did you mean 'user'"):
        load(from_frames(made("polars", DATA), user="users", folder=tmp_path))
