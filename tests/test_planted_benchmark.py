"""``benchmarks/planted.py`` on a world that takes a moment."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from gnnseg.config import load_config
from gnnseg.files import to_json

FOLDER = Path(__file__).parents[1] / "benchmarks"

SMALL = [
    f"dataset.source.{key}={value}"
    for key, value in {
        "num_users": 150,
        "num_items": 40,
        "num_groups": 3,
        "num_interactions": 10,
        "num_clusters": 5,
    }.items()
]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module("planted")
    for name in ("planted", "shared"):
        sys.modules.pop(name, None)


def test_small(planted: Any, tmp_path: Path) -> None:
    config = load_config("planted/full", SMALL, device="cpu")
    found = json.loads(to_json(planted.measure(config, [5.0], worlds=2, seeds=1, quick=True)))
    assert set(found["recovery"]) == {"Leiden", "KMeans", "CoClustering", "Consensus"}
    for points in found["recovery"].values():
        assert [point["signal"] for point in points] == [5.0]
        assert points[0]["mean"] > 0.4
        assert all(point["low"] <= point["mean"] <= point["high"] <= 1 for point in points)
    for study in (found["ablation"], found["true_groups"]):
        names = [model["name"] for model in study["models"]]
        assert names == ["global", "random segments", "ensemble", "one segment", "full"]
    assert found["true_groups"]["config"]["segmenter"]["name"] == "ByColumn"
    planted.plot(found["recovery"], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"recovery.png", "recovery.svg"}
