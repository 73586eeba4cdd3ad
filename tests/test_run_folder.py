from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from gnnseg.errors import CheckpointError, ConfigError, DataError, GnnsegError, TrainingError
from gnnseg.run_folder import RESUME_FILE, partial_folder, refuse_existing, unfinished
from tests.runs import (
    contents,
)


def fail(folder: Path, error: BaseException, names: Iterable[str], resume: bool = False) -> None:
    """Write some files of a run, then stop."""
    with unfinished(folder, resume=resume) as partial:
        for name in names:
            (partial / name).write_text("1")
        raise error


class TestUnfinished:
    def test_takes_its_name_at_the_end(self, tmp_path: Path) -> None:
        with unfinished(tmp_path / "a" / "run") as partial:
            (partial / "file").write_text("1")
            assert not (tmp_path / "a" / "run").exists()
            assert partial == partial_folder(tmp_path / "a" / "run")
        assert contents(tmp_path) == {"a/run/file": b"1"}

    @pytest.mark.parametrize("kept", [[], ["model.json"], [RESUME_FILE]])
    def test_what_a_failure_leaves(self, kept: list[str], tmp_path: Path) -> None:
        with pytest.raises(ZeroDivisionError):
            fail(tmp_path / "run", ZeroDivisionError(), kept)
        assert not (tmp_path / "run").exists()
        assert partial_folder(tmp_path / "run").exists() == (RESUME_FILE in kept)

    def test_what_is_needed_to_resume_goes(self, tmp_path: Path) -> None:
        with unfinished(tmp_path / "run") as partial:
            for name in (RESUME_FILE, "model.json"):
                (partial / name).write_text("1")
        assert contents(tmp_path) == {"run/model.json": b"1"}

    def test_somebody_else_took_the_name(self, tmp_path: Path) -> None:
        def race() -> None:
            with unfinished(tmp_path / "run") as partial:
                (partial / "file").write_text("mine")
                (tmp_path / "run").mkdir()
                (tmp_path / "run" / "file").write_text("theirs")

        with pytest.raises(CheckpointError, match="cannot write"):
            race()
        assert contents(tmp_path) == {"run/file": b"theirs"}

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
    def test_read_only_parent(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(CheckpointError, match="Permission denied"), unfinished(tmp_path / "run"):
            pass

    def test_refuse_existing(self, tmp_path: Path) -> None:
        refuse_existing(tmp_path / "absent")
        refuse_existing(tmp_path)
        (tmp_path / "file").write_text("")
        for taken in (tmp_path, tmp_path / "file"):
            with pytest.raises(CheckpointError, match="exists already; choose another --out or remove it"):
                refuse_existing(taken)


@pytest.mark.parametrize("error", [ConfigError, DataError])
def test_what_would_fail_again_is_not_kept(error: type[GnnsegError], tmp_path: Path) -> None:
    """Unless it was resumed: then the work before is worth more than a file that is not there today."""
    with pytest.raises(error):
        fail(tmp_path / "run", error("no"), [RESUME_FILE])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "run", KeyboardInterrupt(), [RESUME_FILE])
    with pytest.raises(error):
        fail(tmp_path / "run", error("no"), [], resume=True)
    assert set(contents(tmp_path)) == {f".run.partial/{RESUME_FILE}"}


def test_what_was_learned_before_it_diverged_is_kept(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        fail(tmp_path / "run", TrainingError("no"), [RESUME_FILE])
    assert set(contents(tmp_path)) == {f".run.partial/{RESUME_FILE}"}


class TestLinks:
    """Nothing is emptied or written where a link leads."""

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "precious").write_text("1")
        return tmp_path / "outside"

    @pytest.mark.parametrize("resume", [False, True])
    def test_where_a_run_is_made(self, tmp_path: Path, outside: Path, resume: bool) -> None:
        run = tmp_path / "run"
        partial_folder(run).symlink_to(outside)
        with pytest.raises(CheckpointError, match="' is a link; remove it"), unfinished(run, resume=resume):
            pass
        assert (outside / "precious").read_text() == "1"

    @pytest.mark.parametrize("target", ["outside", "nowhere", "empty"])
    @pytest.mark.usefixtures("outside")
    def test_the_final_name(self, tmp_path: Path, target: str) -> None:
        (tmp_path / "empty").mkdir()
        (tmp_path / "run").symlink_to(tmp_path / target)
        with (
            pytest.raises(CheckpointError, match="run' is a link; remove it or"),
            unfinished(tmp_path / "run"),
        ):
            pass
        assert not (tmp_path / "nowhere").exists()
