"""Every config that is shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gnnseg.config import (
    KINDS,
    Config,
    DatasetConfig,
    Schedule,
    load_config,
    load_dataset_config,
    loading,
    shipped_configs,
    shipped_datasets,
)
from gnnseg.data import SOURCES, SPLITS
from gnnseg.errors import ConfigError
from gnnseg.files import configs_folder

EXPERIMENTS = shipped_configs()
DATASETS = shipped_datasets()


class TestShipped:
    def test_every_file_has_a_name(self) -> None:
        files = {
            str(p.relative_to(configs_folder()).with_suffix("")) for p in configs_folder().rglob("*.y*ml")
        }
        assert files == {*EXPERIMENTS, *(f"datasets/{name}" for name in DATASETS)}

    def test_what_the_readme_promises(self) -> None:
        promised = [
            "popularity",
            "item-knn",
            "ease",
            "mf",
            "lightgcn",
            "lightgcn-text",
            "graphsage-text",
            "full",
        ]
        assert {f"movielens/{name}" for name in promised} <= set(EXPERIMENTS)
        assert {"movielens", "movielens-100k", "movielens-1m", "movielens-20m", "movielens-32m"} <= set(
            DATASETS
        )
        assert {"gowalla", "yelp2018", "amazon-book"} <= set(DATASETS)

    @pytest.mark.parametrize("name", EXPERIMENTS)
    def test_resolves_to_itself(self, name: str, tmp_path: Path) -> None:
        config = load_config(name)
        assert config.name == name.split("/")[1]
        path = tmp_path / "config.yaml"
        path.write_text(config.to_yaml(), encoding="utf-8")
        again = load_config(path)
        assert again == config
        assert again.to_yaml() == config.to_yaml()
        assert json.loads(json.dumps(config.resolved())) == config.resolved()

    @pytest.mark.parametrize("name", EXPERIMENTS)
    def test_resolved_leaves_nothing_to_later_defaults(self, name: str) -> None:
        resolved = load_config(name).resolved()
        assert resolved.keys() == Config.model_fields.keys()
        assert resolved["train"].keys() == resolved["fine_tune"].keys() == Schedule.model_fields.keys()
        assert resolved["dataset"].keys() == DatasetConfig.model_fields.keys()
        dataset = resolved["dataset"]
        parts = [
            (kind, spec)
            for key, kind in KINDS.items()
            for spec in (resolved[key] if isinstance(resolved[key], list) else [resolved[key]])
            if spec is not None
        ]
        for kind, spec in [*parts, (SOURCES, dataset["source"]), (SPLITS, dataset["split"])]:
            assert spec.keys() == {"name", *kind.find(spec["name"]).hyperparameters()}

    @pytest.mark.parametrize("name", DATASETS)
    def test_dataset_resolves_to_itself(self, name: str) -> None:
        config = load_dataset_config(name)
        assert config.name == name
        assert DatasetConfig(**config.model_dump(mode="json")) == config
        assert Path(config.folder).is_absolute()

    @pytest.mark.parametrize(
        "name", sorted(name.split("/")[0] for name in EXPERIMENTS if name.endswith("/full"))
    )
    def test_a_folder_stands_for_its_full_system(self, name: str) -> None:
        assert load_config(name) == load_config(f"{name}/full")

    def test_a_folder_without_one_names_what_it_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(loading, "shipped_configs", lambda: ["gowalla/chebycf", "movielens/full"])
        with pytest.raises(
            ConfigError, match=r"'gowalla' has no config 'full'; choose one of gowalla/chebycf$"
        ):
            load_config("gowalla")
