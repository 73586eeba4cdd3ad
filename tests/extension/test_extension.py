"""Somebody else's package, installed, named in YAML by import path, run without a change in gnnseg."""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import gnnseg
from gnnseg.recommend import Recommender
from tests.runs import PLAIN, write_data, write_yaml

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package installed in ``site``, and data and a config beside it."""
    for tool in ("pip", "hatchling"):
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"{tool} is needed to install the package of the extension")
    folder = tmp_path_factory.mktemp("lab")
    source = shutil.copytree(HERE / "mylab", folder / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *options,
        "--target",
        str(folder / "site"),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (folder / "site" / "mylab" / "models.py").is_file()
    write_data(folder)
    shutil.copy(HERE / "mine.yaml", folder)
    write_yaml(folder / "plain.yaml", PLAIN)
    return folder


def run(lab: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = [str(lab / "site"), str(Path(gnnseg.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "gnnseg", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=lab, env=env, timeout=120)


def output(lab: Path, *arguments: str) -> Any:
    done = run(lab, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_train_and_recommend(lab: Path, pyg: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    found = output(lab, "train", "mine.yaml", "--out", "run", "-s", "encoder.num_layers=2")
    assert 0 < found["test"]["ndcg@10"] < 1
    assert len(found["segments"]) == 3
    assert found["decision"]["served"] == "segmented"  # the head of another lab was trained, and helped
    config = yaml.safe_load((lab / "run" / "config.yaml").read_text())
    assert config["encoder"] == {
        "name": "mylab.models.MyGNN",
        "dim": 8,
        "init_scale": 0.1,
        "features_as": "init",
        "num_layers": 2,
    }
    assert config["loss"] == {"name": "mylab.losses.Hinge", "margin": 0.5}
    assert config["sampler"] == {"name": "mylab.sampling.WellKnown", "pool": 3}
    assert config["regularizers"] == [
        {"name": "mylab.losses.SameMean", "weight": 0.01},
        {"name": "EmbeddingL2", "weight": 0.0001},
    ]
    assert config["segmenter"] == {"name": "mylab.segments.ByActivity", "num_segments": 3}
    assert config["head"] == {"name": "mylab.segments.Stretch"}
    assert config["local"] == {"name": "mylab.local.Typical", "prior": 3.0}
    assert json.loads((lab / "run" / "metrics.json").read_text())["local"]["served"] in ("local", "global")
    monkeypatch.syspath_prepend(lab / "site")
    recommender = Recommender.load(lab / "run")
    assert len(recommender.recommend_for(["i00", "i04"], k=3)) == 3
    assert sum(recommender.segments_for(["i00", "i04"]).values()) == pytest.approx(1, abs=0.01)


def test_benchmark(lab: Path) -> None:
    options = ["--models", "plain.yaml,mine.yaml", "--seeds", "1", "--out", "out"]
    found = output(lab, "benchmark", "--dataset", "small.yaml", *options)
    assert [model["name"] for model in found["models"]] == ["plain", "mine"]
    assert found["models"][1]["config"]["encoder"]["name"] == "mylab.models.MyGNN"
    assert found["models"][1]["parameters"]["total"] > found["models"][0]["parameters"]["total"]
    assert {c["model"] for c in found["comparisons"]} == {"mine"}
    assert json.loads((lab / "out" / "results.json").read_text()) == found
    assert "| mine |" in (lab / "out" / "results.md").read_text()


def test_components_are_small() -> None:
    """What the README promises: about 20 lines each."""
    for path in (HERE / "mylab" / "mylab").glob("*.py"):
        source = path.read_text()
        for block in source.split("\nclass ")[1:]:
            assert len(inspect.cleandoc(block).splitlines()) <= 20
