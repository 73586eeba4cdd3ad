from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnnseg.errors import ConfigError, GnnsegError
from gnnseg.pipeline import fit
from gnnseg.projection import projected
from gnnseg.tracking import TensorBoard
from gnnseg.tracking.tensorboard import flat
from tests.runs import FULL, fill_disk, on_data
from tests.tracking.reading import curves, read

pytest.importorskip("tensorboard", reason="tensorboard comes with gnnseg[tracking]")

CONFIG = {"name": "small", "encoder": {"name": "LightGCN", "dim": 8}, "text": None, "on": True, "at": [1, 2]}
FIRST = {"stage": 1, "epoch": 1, "loss": 0.5, "valid_ndcg@10": 0.25}
SECOND = {"stage": 2, "epoch": 1, "loss": 0.25, "valid_ndcg@10": float("nan")}


def hyper_parameters(run: Path) -> dict[str, Any]:
    """The row of the table of hyper-parameters."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = HParamsPluginData()
    content = read(run).PluginTagToContent("hparams")
    data.ParseFromString(content["_hparams_/session_start_info"])
    values = data.session_start_info.hparams.items()
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in values}


def test_curves(tmp_path: Path) -> None:
    tracker = TensorBoard()
    with tracker.following(tmp_path, CONFIG):
        tracker.log(FIRST)
        tracker.log(SECOND)
        tracker.finish({"ndcg@10": 0.125, "segment_gap": None})
    assert curves(tmp_path) == {
        "stage1/epoch": [(1, 1.0)],
        "stage1/loss": [(1, 0.5)],
        "stage1/valid_ndcg@10": [(1, 0.25)],
        "stage2/epoch": [(2, 1.0)],
        "stage2/loss": [(2, 0.25)],
        "test/ndcg@10": [(2, 0.125)],
    }
    assert [path.parent for path in tmp_path.rglob("*tfevents*")] == [tmp_path / "tensorboard"]


def test_config(tmp_path: Path) -> None:
    tracker = TensorBoard()
    with tracker.following(tmp_path, CONFIG):
        tracker.finish({"ndcg@10": 0.125})
    [text] = read(tmp_path).Tensors("config/text_summary")
    assert "encoder:\n  name: LightGCN\n  dim: 8\n" in text.tensor_proto.string_val[0].decode()
    assert hyper_parameters(tmp_path) == {
        "name": "small",
        "encoder.name": "LightGCN",
        "encoder.dim": 8.0,
        "on": 1.0,
        "at": "[1, 2]",
    }


def test_resumed_curves_have_no_epoch_twice(tmp_path: Path) -> None:
    tracker = TensorBoard()
    with contextlib.suppress(KeyboardInterrupt), tracker.following(tmp_path, CONFIG):
        tracker.log(FIRST)
        tracker.log(FIRST)
        raise KeyboardInterrupt
    assert curves(tmp_path)["stage1/loss"] == [(1, 0.5), (2, 0.5)]
    with tracker.following(tmp_path, CONFIG, [FIRST]):
        tracker.log({**FIRST, "loss": 0.125})
    assert curves(tmp_path)["stage1/loss"] == [(1, 0.5), (2, 0.125)]


def test_projector(tmp_path: Path) -> None:
    """Against the plugin's own format."""
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    found = fit(on_data(FULL, name="full"), out=tmp_path / "run", tracker=TensorBoard())
    folder = tmp_path / "run" / "tensorboard"
    text = (folder / "projector_config.pbtxt").read_text()
    [shown] = text_format.Parse(text, ProjectorConfig()).embeddings
    vectors = np.loadtxt(folder / shown.tensor_path, delimiter="\t")
    expected = projected(found.scorer, *found.labels)  # type: ignore[arg-type]
    assert expected is not None
    np.testing.assert_allclose(vectors, expected[0], rtol=1e-4, atol=1e-6)
    assert (folder / shown.metadata_path).read_text().splitlines() == expected[1]


def test_needs_a_folder() -> None:
    with pytest.raises(ConfigError) as caught, TensorBoard().following(None, CONFIG):
        pass
    assert str(caught.value) == "TensorBoard writes into the folder of a run (got none); give 'out'"


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GnnsegError) as caught, TensorBoard().following(tmp_path / "file", CONFIG):
        pass
    assert str(caught.value) == f"cannot write '{tmp_path / 'file' / 'tensorboard'}': Not a directory"


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = TensorBoard()
    fill_disk(monkeypatch, "tfevents")
    with pytest.raises(GnnsegError) as caught, tracker.following(tmp_path, CONFIG):
        pass
    assert str(caught.value) == f"cannot write '{tmp_path / 'tensorboard'}': No space left on device"


def test_disk_that_fills_while_closing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def close(self) -> None:
            raise OSError(28, "No space left on device")

    tracker = TensorBoard()
    tracker.start(tmp_path, CONFIG)
    assert tracker._file is not None
    tracker._file.close()
    monkeypatch.setattr(tracker, "_file", Full())
    with pytest.raises(GnnsegError, match="No space left"):
        tracker.close()


def test_closed_twice() -> None:
    tracker = TensorBoard()
    tracker.close()
    tracker.close()


def test_flat() -> None:
    assert dict(flat({"a": {"b": {"c": 1}}, "d": None, "e": [{"f": 0.5}]})) == {
        "a.b.c": 1,
        "e": '[{"f": 0.5}]',
    }
