import json
import math
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from gnnseg import files
from gnnseg.errors import ConfigError, GnnsegError
from gnnseg.files import (
    checked_name,
    configs_folder,
    dataset_folder,
    datasets_in,
    home,
    inside,
    to_json,
    write_json,
    write_text,
    writing,
)


def test_writing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "file.json"
    with writing(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".json"
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced elsewhere")
def test_who_reads_meanwhile_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), writing(path) as temporary:  # noqa: PT012 - what is left is the point
        temporary.write_text("half of the ne")
        raise error
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_full_disk(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with pytest.raises(GnnsegError, match=r"cannot write '.*file.txt': No space left on device"):  # noqa: SIM117
        with writing(path):
            raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(GnnsegError, match=r"cannot write '.*file.txt': ") as caught:
        write_text(tmp_path / "taken" / "file.txt", "x")
    assert "\n" not in str(caught.value)


def test_target_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file.txt" / "inside").mkdir(parents=True)
    with pytest.raises(GnnsegError, match="cannot write"):
        write_text(tmp_path / "file.txt", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_follow_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file.txt", "x")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o666 & ~mask


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "file.txt", "Amélie 雨\n")
    assert (tmp_path / "file.txt").read_bytes() == "Amélie 雨\n".encode()


def test_text_that_cannot_be_encoded(tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "file.txt", "\ud800")
    assert (tmp_path / "file.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_json_has_valid_numbers_only(tmp_path: Path) -> None:
    value = {
        "a": [1.5, math.nan, (math.inf, -math.inf)],
        "b": {"c": np.float64("nan"), 3: None},
        "d": True,
        "e": "Amélie",
        "f": np.float64(2.5),
    }
    write_json(tmp_path / "file.json", value)
    text = (tmp_path / "file.json").read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert "Amélie" in text
    assert json.loads(text) == {
        "a": [1.5, None, [None, None]],
        "b": {"c": None, "3": None},
        "d": True,
        "e": "Amélie",
        "f": 2.5,
    }


def test_json_on_one_line() -> None:
    assert to_json({"a": [1, math.nan]}, indent=None) == '{"a": [1, null]}'


def test_json_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "file.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "file.json", {"a": object()})
    assert (tmp_path / "file.json").read_text() == "1\n"


def test_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNNSEG_HOME", str(tmp_path / "mine"))
    assert home() == tmp_path / "mine"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GNNSEG_HOME", "~/cache")
    assert home() == tmp_path / "cache"


@pytest.mark.parametrize("empty", [True, False])
def test_home_of_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: bool) -> None:
    if empty:
        monkeypatch.setenv("GNNSEG_HOME", "")
    else:
        monkeypatch.delenv("GNNSEG_HOME", raising=False)
    monkeypatch.setattr(files.platformdirs, "user_cache_dir", lambda name, appauthor: str(tmp_path / name))
    assert home() == tmp_path / "gnnseg"


def test_configs_are_there() -> None:
    assert list(configs_folder().glob("*/*.yaml"))


def test_installed_configs_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "__file__", str(tmp_path / "gnnseg" / "files.py"))
    assert configs_folder() == tmp_path / "configs"
    (tmp_path / "gnnseg" / "configs").mkdir(parents=True)
    assert configs_folder() == tmp_path / "gnnseg" / "configs"


@pytest.mark.parametrize(
    "name",
    ["full", "café", "名前", "more steps", "views (2)", "a=b", "x.y", "_x", "(x)", "lr=0.01, 50%", "x" * 100],
)
def test_names(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "..",
            "../x",
            "a/b",
            "/etc",
            "a\\b",
            "C:x",
            "a\nb",
            "a\0",
            ".hidden",
            "-rf",
            "=1+1",
            " a",
            "a ",
        ),
        *("a.", "~/x", "a*", "a|b", "$HOME", "`id`", "a\x1b[31m", "\u202egpj", "x" * 101),
    ],
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match="'name' must be 1 to 100 letters") as caught:
        checked_name(name)
    assert str(caught.value).isprintable()


class TestInside:
    def test_where_nothing_leads_out(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "root").symlink_to(tmp_path / "real")
        (tmp_path / "real" / "b").symlink_to("a")
        assert inside(tmp_path / "root", "a", "x") == tmp_path / "root" / "a"
        assert inside(tmp_path / "root", "b", "x") == tmp_path / "root" / "b"

    @pytest.mark.parametrize("target", ["../outside", "/etc", "..", "../root-2"])
    def test_links_that_lead_out(self, tmp_path: Path, target: str) -> None:
        root = tmp_path / "root"
        root.mkdir()
        (root / "a").symlink_to(target)
        with pytest.raises(
            ConfigError, match=r"root/a' leads out of '.*root', as a link or by its name; do so"
        ):
            inside(root, "a", "do so")

    @pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x"])
    def test_names_that_lead_out(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigError, match="leads out of"):
            inside(tmp_path, name, "do so")

    def test_folder_of_a_dataset(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "elsewhere").mkdir()
        with datasets_in(tmp_path / "data"):
            assert dataset_folder("gowalla") == tmp_path / "data"
            (tmp_path / "data" / "gowalla").symlink_to(tmp_path / "elsewhere")
            with pytest.raises(ConfigError, match="give the folder with its files itself as --data-dir"):
                dataset_folder("gowalla")
        with datasets_in(tmp_path / "data" / "gowalla"):
            assert dataset_folder("gowalla") == tmp_path / "data" / "gowalla"
