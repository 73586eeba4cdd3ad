from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

from gnnseg.errors import GnnsegError
from gnnseg.report.plots import accuracy, accuracy_seconds, cost, curves, save, save_plots
from tests.report.test_tables import results
from tests.runs import contents, fill_disk

SVG = "{http://www.w3.org/2000/svg}"


def texts(path: Path) -> str:
    """What an SVG file says in words, which matplotlib keeps in comments beside the outlines."""
    return path.read_text(encoding="utf-8")


def test_files(tmp_path: Path) -> None:
    files = save_plots(results(), tmp_path)
    assert [path.name for path in files] == ["accuracy.png", "accuracy.svg", "cost.png", "cost.svg"]
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in files}
    for path in files:
        if path.suffix == ".png":
            data = path.read_bytes()
            assert data.startswith(b"\x89PNG\r\n\x1a\n")
            assert data.endswith(b"IEND\xaeB`\x82")
            width, height = struct.unpack(">II", data[16:24])
            assert width > 600
            assert height > 300
        else:
            root = ElementTree.parse(path).getroot()
            assert root.tag == f"{SVG}svg"
            assert len(root.findall(f".//{SVG}path")) > 10
            assert all(name in texts(path) for name in ("pop", "knn", "full", "small"))


def test_accuracy() -> None:
    axes = accuracy(results(), "ndcg@10").axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["full", "knn", "pop"]
    assert [bar.get_width() for bar in axes.patches] == [0.15, 0.1, 0.05]
    assert (
        axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor() == axes.patches[2].get_facecolor()
    )
    assert "ndcg@10" in axes.get_xlabel()
    assert "95 %" in axes.get_xlabel()


def test_intervals() -> None:
    axes = accuracy(results(), "recall@10").axes[0]
    [bars] = axes.collections
    ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([m - 0.01, m + 0.02]) for m in (0.3, 0.2, 0.1)]


def test_cost() -> None:
    axes = cost(results(), "recall@10").axes[0]
    points = [tuple(dots.get_offsets()[0]) for dots in axes.collections]
    assert points == [(1.5, 0.1), (1.5, 0.2), (1.5, 0.3)]
    assert [label.get_text() for label in axes.texts] == ["pop", "knn", "full"]
    assert axes.get_xscale() == "log"


def test_an_interval_that_rounding_has_moved(tmp_path: Path) -> None:
    found = results()
    interval = found["models"][0]["metrics"]["ndcg@10"]
    interval["low"] = interval["mean"] + 1e-17 + 1e-16
    interval["high"] = interval["mean"] - 1e-16
    assert interval["low"] > interval["mean"] > interval["high"]
    assert len(save_plots(found, tmp_path)) == 4


def test_one_model_that_took_no_time(tmp_path: Path) -> None:
    found = {**results(), "models": results()["models"][:1], "comparisons": []}
    for run in found["models"][0]["runs"]:
        run["seconds"]["fit"] = 0.0
    assert len(save_plots(found, tmp_path)) == 4


def test_names_are_not_read_as_formulas(tmp_path: Path) -> None:
    found = results()
    found["models"][0]["name"] = "a_$x^"
    found["models"][1]["name"] = "$\\nonsense{$"
    assert len(save_plots(found, tmp_path)) == 4


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fill_disk(patch, "accuracy.svg")
        with pytest.raises(GnnsegError, match=r"cannot write '.*accuracy.svg': No space left on device"):
            save_plots(results(), tmp_path)
    assert set(contents(tmp_path)) == {"accuracy.png"}


def with_peers() -> list[dict[str, Any]]:
    """The three models, two of them of another library."""
    return [{**model, "ours": model["name"] == "full"} for model in results()["models"]]


def test_accuracy_against_seconds() -> None:
    figure = accuracy_seconds(with_peers(), "recall@10", {"paper": 0.25}, "small")
    [axes] = figure.axes
    ours, others = axes.collections
    assert ours.get_offsets().tolist() == [[1.5, 0.3]]
    assert others.get_offsets().tolist() == [[1.5, 0.1], [1.5, 0.2]]
    assert [line.get_linestyle() for line in axes.lines] == ["--"]
    assert axes.lines[0].get_ydata() == [0.25, 0.25]
    assert {text.get_text() for text in axes.texts} == {"paper", "full", "knn", "pop"}
    assert axes.get_xscale() == "log"


def test_names_of_equal_models_do_not_cover_each_other() -> None:
    models = [{**with_peers()[0], "name": name} for name in ("one", "two", "three")]
    figure = accuracy_seconds(models, "recall@10", {"a": 0.1, "b": 0.1, "c": 0.1001}, "small")
    figure.draw_without_rendering()
    assert len(figure.axes[0].texts) == 6
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # without the lines to points
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_accuracy_against_seconds_of_no_models(tmp_path: Path) -> None:
    files = save(accuracy_seconds([], "recall@10", {}, "a_$x^"), tmp_path / "nothing.yet")
    assert [path.name for path in files] == ["nothing.yet.png", "nothing.yet.svg"]
    assert all(path.is_file() for path in files)


def test_curves() -> None:
    lines = {
        name: [{"at": x, "mean": x + up, "low": x, "high": x + 2 * up} for x in (0.0, 1.0)]
        for name, up in (("one", 0.1), ("two", 0.2))
    }
    [axes] = curves(lines, "at", "signal", "index", "a_$x^").axes
    drawn = {str(line.get_label()): list(line.get_ydata()) for line in axes.lines}
    assert drawn == {"one": [0.1, 1.1], "two": [0.2, 1.2]}
    assert [area.get_datalim(axes.transData).intervaly.tolist() for area in axes.collections] == [
        pytest.approx([0.0, 1.2]),
        pytest.approx([0.0, 1.4]),
    ]
    assert len({(line.get_color(), line.get_marker()) for line in axes.lines}) == 2
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("signal", "index")
