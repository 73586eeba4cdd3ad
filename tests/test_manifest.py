from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gnnseg.checkpoint import load_run
from gnnseg.config import load_config
from gnnseg.errors import CheckpointError
from gnnseg.manifest import MANIFEST, check_part, check_parts, seal
from gnnseg.recommend import Recommender
from gnnseg.resume import load_resume, save_resume
from tests.runs import PLAIN, contents, on_data, saved_run

PARTS = (
    "config.yaml",
    "embeddings.safetensors",
    "environment.json",
    "history.jsonl",
    "items.json",
    "metrics.json",
    "model.json",
    "model.safetensors",
    "segments.json",
    "texts.json",
    "users.json",
)
WEIGHTS = "model.safetensors"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_run(), tmp_path / "copy"))


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_run(folder).model()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class TestRun:
    def test_tells_every_part(self) -> None:
        found = json.loads((saved_run() / MANIFEST).read_text())["parts"]
        assert found == {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in contents(saved_run()).items()
            if name != MANIFEST
        }
        assert WEIGHTS in found

    @pytest.mark.parametrize("name", PARTS)
    def test_a_part_that_is_missing_or_cut(self, copy: Path, name: str) -> None:
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-1])
        assert refusal(copy).startswith(f"'{copy / name}' is damaged: it must have {len(whole)} bytes (got ")
        (copy / name).unlink()
        assert refusal(copy).startswith(f"cannot read '{copy / name}': No such file or directory; restore it")

    @pytest.mark.parametrize("name", PARTS)
    def test_a_flipped_bit(self, copy: Path, name: str) -> None:
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(flipped(whole, 8 * len(whole) // 2))
        assert f"'{copy / name}' is damaged: its content is not what was written" in refusal(copy)

    def test_weights_are_checked_when_they_are_read(self, copy: Path) -> None:
        whole = (copy / WEIGHTS).read_bytes()
        (copy / WEIGHTS).write_bytes(flipped(whole, 8 * len(whole) - 1))
        recommender = Recommender.load(copy)
        assert recommender.recommend(["1000"]) == Recommender.load(saved_run()).recommend(["1000"])
        with pytest.raises(CheckpointError, match=r"model\.safetensors' is damaged"):
            recommender.recommend_for(["i00"])

    def test_a_thousand_flips(self, tmp_path: Path) -> None:
        """Of every file together; none is overlooked, none is refused for another file's sake."""
        rng, checked = np.random.default_rng(0), 0
        for name in PARTS:
            shutil.copy(saved_run() / name, tmp_path)
        seal(tmp_path)
        check_parts(tmp_path)
        for name in PARTS:
            path, whole = tmp_path / name, (tmp_path / name).read_bytes()
            for bit in rng.integers(8 * len(whole), size=100):
                path.write_bytes(flipped(whole, int(bit)))
                with pytest.raises(CheckpointError, match=f"'{path}' is damaged"):
                    check_part(path)
                checked += 1
            path.write_bytes(whole)
        check_parts(tmp_path)
        assert checked >= 1000

    def test_a_damaged_manifest(self, copy: Path) -> None:
        whole = (copy / MANIFEST).read_bytes()
        for content in (
            b"",
            b"[]",
            b"{}",
            b"\xff",
            b"[" * 100_000,
            whole[:-9],
            b'{"format": 1, "parts": {"a": 1}}',
        ):
            (copy / MANIFEST).write_bytes(content)
            assert str(copy / MANIFEST) in refusal(copy)
        rng = np.random.default_rng(0)
        for bit in rng.integers(8 * len(whole), size=50):
            (copy / MANIFEST).write_bytes(flipped(whole, int(bit)))
            with contextlib.suppress(CheckpointError):  # a flip in the white space changes nothing
                load_run(copy).model()

    @pytest.mark.parametrize("name", ["../users.json", "/etc/passwd", "a/b"])
    def test_a_manifest_that_points_elsewhere(self, copy: Path, name: str) -> None:
        parts = {name: {"bytes": 1, "sha256": ""}}
        (copy / MANIFEST).write_text(json.dumps({"format": 1, "parts": parts}))
        assert refusal(copy).startswith(f"'{copy / MANIFEST}' is damaged")

    def test_without_one(self, copy: Path) -> None:
        """A run of before there were manifests."""
        (copy / MANIFEST).unlink()
        assert load_run(copy).users.ids == load_run(saved_run()).users.ids

    def test_files_put_beside_it_later(self, copy: Path) -> None:
        (copy / "report.html").write_text("later")
        assert load_run(copy)


class TestResume:
    def test_flips_and_cuts(self, tmp_path: Path) -> None:
        """The first bits of the header, and some of the rest."""
        config = load_config(on_data(PLAIN))
        save_resume(
            tmp_path, config, {"a": torch.arange(200.0)}, {"stage": 1, "epoch": 2, "history": [1] * 50}
        )
        path = tmp_path / "resume.safetensors"
        whole = path.read_bytes()
        assert load_resume(tmp_path, config)[1]["epoch"] == 2
        rng = np.random.default_rng(0)
        bits = [*range(250), *rng.choice(8 * len(whole), 250, replace=False)]
        for bit in bits:
            path.write_bytes(flipped(whole, int(bit)))
            with pytest.raises(CheckpointError, match=r"resume\.safetensors' is damaged") as caught:
                load_resume(tmp_path, config)
            assert "\n" not in str(caught.value)
        for length in rng.integers(len(whole), size=50):
            path.write_bytes(whole[:length])
            with pytest.raises(CheckpointError, match=r"resume\.safetensors' is damaged"):
                load_resume(tmp_path, config)
