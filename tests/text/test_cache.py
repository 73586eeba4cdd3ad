import logging
from pathlib import Path

import pytest
import torch

from gnnseg.text import cache

VECTORS = torch.arange(6, dtype=torch.float32).reshape(2, 3)


def test_round_trip(own_home: Path) -> None:
    cache.write("name", VECTORS)
    assert torch.equal(cache.read("name", 2), VECTORS)
    assert [file.name for file in (own_home / "text").iterdir()] == ["name.safetensors"]


def test_vectors_that_are_not_contiguous() -> None:
    cache.write("name", VECTORS.T)
    assert torch.equal(cache.read("name", 3), VECTORS.T)


def test_absent() -> None:
    assert cache.read("name", 2) is None


def test_key_depends_on_every_setting_and_text() -> None:
    keys = [
        cache.key({"pooling": "mean"}, ["a", "b"]),
        cache.key({"pooling": "cls"}, ["a", "b"]),
        cache.key({"pooling": "mean", "dtype": "float16"}, ["a", "b"]),
        cache.key({"pooling": "mean"}, ["b", "a"]),
        cache.key({"pooling": "mean"}, ["ab"]),
        cache.key({"pooling": "mean"}, ["ab", ""]),
        cache.key({"pooling": "mean"}, ["", "ab"]),
        cache.key({"pooling": "mean"}, []),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == cache.key({"pooling": "mean"}, ["a", "b"])


def test_key_does_not_depend_on_the_order_of_settings() -> None:
    assert cache.key({"a": 1, "b": 2}, ["x"]) == cache.key({"b": 2, "a": 1}, ["x"])


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "other"])
def test_damaged_file_is_logged_and_ignored(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    cache.write("name", VECTORS)
    file = cache.path("name")
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[-3] ^= 1
    file.write_bytes({"truncated": content[:-4], "empty": b"", "other": b"not a tensor"}.get(damage, content))
    with caplog.at_level(logging.WARNING):
        assert cache.read("name", 2) is None
    assert str(file) in caplog.text


def test_wrong_number_of_rows_is_damage(caplog: pytest.LogCaptureFixture) -> None:
    cache.write("name", VECTORS)
    assert cache.read("name", 3) is None
    assert "damaged" in caplog.text


def test_folder_that_cannot_be_written_is_a_logged_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GNNSEG_HOME", str(tmp_path / "file"))
    cache.write("name", VECTORS)
    assert "not cached" in caplog.text
    assert cache.read("name", 2) is None
