"""A prepared folder is whole or not there, and training on it is training on the tables."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gnnseg.config import load_config, load_dataset_config
from gnnseg.errors import CheckpointError, ConfigError, DataError
from gnnseg.pipeline import run
from gnnseg.prepared import load_dataset
from gnnseg.preparing import prepare_folder
from gnnseg.run_folder import partial_folder
from tests.faults import Faults
from tests.runs import PLAIN, outcome, scores, write_data

FILTERS = {"min_rating": 2, "min_user_items": 3, "min_item_users": 3}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_data(tmp_path, filters=FILTERS)


def test_training_is_that_on_the_tables(table: Path, tmp_path: Path) -> None:
    prepare_folder(load_dataset_config(table), tmp_path / "out")
    on_tables = run(load_config({**PLAIN, "dataset": str(table)}))
    on_folder = run(load_config({**PLAIN, "dataset": str(tmp_path / "out" / "dataset.yaml")}))
    assert outcome(on_folder) == outcome(on_tables)
    assert torch.equal(scores(on_folder), scores(on_tables))
    assert on_folder.data.describe() == on_tables.data.describe()


def test_filters_of_the_config_still_apply(table: Path, tmp_path: Path) -> None:
    """Stronger ones than those it was prepared with drop more, as they would from the tables."""
    prepare_folder(load_dataset_config(table), tmp_path / "out")
    stronger = {"min_rating": 2, "min_user_items": 3, "min_item_users": 8}
    config = load_dataset_config(tmp_path / "out" / "dataset.yaml")
    found = load_dataset(type(config)(**{**config.model_dump(), "filters": stronger}))
    expected = load_dataset(load_dataset_config(write_data(tmp_path, filters=stronger)))
    assert found.digest == expected.digest
    assert found.num_items < load_dataset(config).num_items


def test_the_same_settings_again_change_nothing(table: Path, tmp_path: Path) -> None:
    config = load_dataset_config(table)
    first = prepare_folder(config, tmp_path / "out")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()}
    assert prepare_folder(config, tmp_path / "out") == first
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir()} == before


def test_other_settings_are_refused(table: Path, tmp_path: Path) -> None:
    prepare_folder(load_dataset_config(table), tmp_path / "out")
    write_data(tmp_path, filters={**FILTERS, "min_rating": 3})
    with pytest.raises(DataError, match=r"other settings \(filters.min_rating 2.0 there, 3.0 here;"):
        prepare_folder(load_dataset_config(table), tmp_path / "out")


def test_changed_tables_are_refused(table: Path, tmp_path: Path) -> None:
    prepare_folder(load_dataset_config(table), tmp_path / "out")
    os.utime(tmp_path / "ratings.csv", ns=(1, 1))
    with pytest.raises(DataError, match=r"other settings \(files\..*ratings.csv"):
        prepare_folder(load_dataset_config(table), tmp_path / "out")


def test_a_folder_of_something_else_is_refused(table: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(CheckpointError, match="exists already"):
        prepare_folder(load_dataset_config(table), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]


def test_sources_without_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'source' must read tables to be prepared \(got MovieLens\)"):
        prepare_folder(load_dataset_config("movielens"), tmp_path / "out")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([("u", "i", "x")], "row 1: 'stars' must be a finite number"),
        ([("u", "i01", 1)], "the filters leave nothing of 'small' .1 interactions, min_rating 2.0"),
        ([], "ratings.csv' has no rows"),
    ],
)
def test_bad_tables_leave_nothing(tmp_path: Path, rows: list[tuple[object, ...]], problem: str) -> None:
    path = write_data(tmp_path, rows, filters=FILTERS)
    with pytest.raises(DataError, match=problem):
        prepare_folder(load_dataset_config(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not partial_folder(tmp_path / "out").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing(table: Path, tmp_path: Path) -> None:
    config, out = load_dataset_config(table), tmp_path / "out"

    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for at in (3, 20, 45):
        with pytest.MonkeyPatch.context() as patch:
            Faults(partial_folder(out), at, fail).install(patch)
            with pytest.raises(DataError, match=r"cannot write '.*out': No space left on device"):
                prepare_folder(config, out)
        assert not out.exists()
        assert not partial_folder(out).exists()


class Died(BaseException):
    """What nothing catches."""


def test_whatever_a_killed_one_leaves(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped at every eleventh call that changes the disk, with nothing cleaned up: no folder that opens."""
    config, out = load_dataset_config(table), tmp_path / "made" / "out"
    out.parent.mkdir()
    at, left = 1, 0

    def die() -> None:
        monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
        raise Died

    while not out.exists():
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Died):
            Faults(out.parent, at, die).install(patch)
            prepare_folder(config, out)
        monkeypatch.undo()
        half = partial_folder(out)
        if not out.exists() and (half / "dataset.yaml").exists():
            left += 1
            with pytest.raises(DataError, match="is no folder that `gnnseg data prepare` has finished"):
                load_dataset(load_dataset_config(half / "dataset.yaml"))
        at += 11
    assert left
    assert not partial_folder(out).exists()
    prepare_folder(config, tmp_path / "whole")
    found, whole = (load_dataset(load_dataset_config(f / "dataset.yaml")) for f in (out, tmp_path / "whole"))
    assert found.digest == whole.digest


CHILD = """
import os, signal, sys
from pathlib import Path
import pytest
from gnnseg.config import load_dataset_config
from gnnseg.preparing import prepare_folder
from tests.faults import Faults
table, out, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
faults = Faults(out.parent, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
with pytest.MonkeyPatch.context() as patch:
    faults.install(patch)
    prepare_folder(load_dataset_config(table), out)
"""


@pytest.mark.slow
def test_killed_in_the_middle(table: Path, tmp_path: Path) -> None:
    """In a process of its own, as polars has threads that no fork brings along; nothing of it opens."""
    config, out = load_dataset_config(table), tmp_path / "made" / "out"
    out.parent.mkdir()
    counted = Faults(out.parent, 0, lambda: None)
    with pytest.MonkeyPatch.context() as patch:
        counted.install(patch)
        prepare_folder(config, out)
    expected = load_dataset(load_dataset_config(out / "dataset.yaml")).digest
    shutil.rmtree(out)
    at = len(counted.calls) - counted.calls[::-1].index("replace")  # all but the manifest is there then
    child = subprocess.run([sys.executable, "-c", CHILD, str(table), str(out), str(at)], check=False)
    assert child.returncode == -signal.SIGKILL
    assert not out.exists()
    with pytest.raises(DataError, match="is no folder that `gnnseg data prepare` has finished"):
        load_dataset(load_dataset_config(partial_folder(out) / "dataset.yaml"))
    prepare_folder(config, out)
    assert load_dataset(load_dataset_config(out / "dataset.yaml")).digest == expected
    assert not partial_folder(out).exists()
