from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gnnseg.config import KINDS, load_config, shipped_configs
from tests.cli.invoking import failure, output, printed
from tests.runs import PLAIN, on_data, write_yaml

KIND_NAMES = {
    "sources",
    "splits",
    "baselines",
    "texts",
    "encoders",
    "losses",
    "samplers",
    "regularizers",
    "segmenters",
    "heads",
    "local",
    "new_items",
    "new_users",
}


def test_everything() -> None:
    found = printed("show")
    assert found.keys() == {"configs"} | KIND_NAMES
    assert "LightGCN" in found["encoders"]
    assert found["configs"] == shipped_configs()
    text = output("show")
    assert all(name in text for name in (*KIND_NAMES, "movielens/full", "FiLM", "EASE"))


def test_configs() -> None:
    assert printed("show", "configs") == {"configs": shipped_configs()}
    assert output("show", "configs").split()[1:] == shipped_configs()


@pytest.mark.parametrize("kind", sorted(KIND_NAMES))
def test_every_kind_and_component(kind: str) -> None:
    found = printed("show", kind)[kind]
    assert found
    assert all(found.values())
    for name in found:
        about = printed("show", f"{kind}.{name}")
        assert about["name"] == name
        assert about["about"].strip()
        for parameter in about["parameters"].values():
            assert parameter.keys() == {"type", "default", "required"}
            assert parameter["type"]


def test_all_kinds_are_shown() -> None:
    assert len(KIND_NAMES) == len(set(KINDS) - {"term"}) + 2


def test_a_component() -> None:
    about = printed("show", "encoders.LightGCN")
    assert about["parameters"]["dim"] == {"type": "int > 0", "default": 64, "required": False}
    assert about["parameters"]["num_layers"] == {"type": "int >= 0", "default": 3, "required": False}
    text = output("show", "encoders.LightGCN")
    assert "2002.02126" in text
    assert "num_layers" in text
    assert printed("show", "sources.Table")["parameters"]["interactions"]["required"]


def test_a_config() -> None:
    config = load_config("movielens/full")
    assert yaml.safe_load(output("show", "movielens/full")) == config.resolved()
    assert printed("show", "movielens") == config.resolved()


def test_a_config_with_overrides() -> None:
    found = printed("show", "movielens/lightgcn", "-s", "encoder.dim=32", "-s", "dataset.split.seed=3")
    assert found["encoder"]["dim"] == 32
    assert found["dataset"]["split"]["seed"] == 3


@pytest.mark.parametrize(
    ("what", "problem"),
    [
        ("encoders.LightGNC", "unknown encoder 'LightGNC'; did you mean 'LightGCN'?"),
        ("movielens/ful", "unknown config 'movielens/ful'; did you mean 'movielens/full'?"),
        ("absent.yaml", "there is no config 'absent.yaml'"),
    ],
)
def test_unknown(what: str, problem: str) -> None:
    assert problem in failure("show", what)


def test_unknown_kind() -> None:
    assert "did you mean 'encoders'?" in failure("show", "encodrs")


def test_published_figures(tmp_path: Path) -> None:
    published = {"source": "arXiv 2002.02126, table 3", "metrics": {"recall@20": 0.183}}
    path = write_yaml(tmp_path / "mine.yaml", on_data(PLAIN, reference=published))
    assert yaml.safe_load(output("show", path))["reference"] == published
