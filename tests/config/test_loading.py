"""How configs are found and what is replaced in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gnnseg.config import (
    find_config,
    load_config,
    load_dataset_config,
)
from gnnseg.config.dataset import read_yaml
from gnnseg.errors import ConfigError
from gnnseg.files import configs_folder
from tests.config.refused import failure
from tests.runs import DATA, FULL, PLAIN, on_data, write_data, write_yaml


class TestFinding:
    @pytest.mark.parametrize(
        ("name", "nearest"),
        [("movielens/lightgnc", "movielens/lightgcn"), ("movielenz", "movielens"), ("lightgcn", "")],
    )
    def test_unknown_config(self, name: str, nearest: str) -> None:
        message = failure(name)
        assert message.startswith(f"unknown config '{name}'; ")
        assert f"did you mean '{nearest}" in message

    def test_missing_file(self, tmp_path: Path) -> None:
        assert "there is no config" in failure(tmp_path / "absent.yaml")

    def test_unknown_dataset(self) -> None:
        message = failure({**PLAIN, "dataset": "movielens-1n"})
        assert message.startswith("unknown dataset 'movielens-1n'; did you mean 'movielens-1m'?")
        with pytest.raises(ConfigError, match="unknown dataset 'gowala'; did you mean 'gowalla'"):
            load_dataset_config("gowala")

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            (b"- a\n- b\n", "must hold a mapping of keys to values (got list)"),
            (b"", "must hold a mapping of keys to values (got NoneType)"),
            (b"a: [1\n", "cannot read"),
            (b"a: \xff\n", "cannot read"),
            (b"a: !!python/object:os.system {}\n", "cannot read"),
        ],
    )
    def test_not_a_config(self, tmp_path: Path, content: bytes, problem: str) -> None:
        path = tmp_path / "bad.yaml"
        path.write_bytes(content)
        message = failure(path)
        assert problem in message
        assert str(path) in message

    def test_read_yaml_keeps_keys_as_text(self, tmp_path: Path) -> None:
        assert read_yaml(write_yaml(tmp_path / "a.yaml", {1: 2})) == {"1": 2}

    def test_find_config(self, tmp_path: Path) -> None:
        path = write_yaml(tmp_path / "mine.yml", on_data(PLAIN))
        assert find_config(str(path)) == path
        assert find_config("movielens/mf") == configs_folder() / "movielens" / "mf.yaml"


class TestNamesAndFolders:
    def test_named_after_the_file(self, tmp_path: Path) -> None:
        assert load_config(write_yaml(tmp_path / "mine.yaml", on_data(PLAIN))).name == "mine"
        assert load_config(write_yaml(tmp_path / "mine.yaml", on_data(PLAIN, name="other"))).name == "other"
        assert load_config(on_data(PLAIN)).name == "run"

    def test_dataset_file_beside_the_config(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        write_data(tmp_path / "data")
        path = write_yaml(tmp_path / "mine.yaml", {**PLAIN, "dataset": "data/small.yaml"})
        dataset = load_config(path).dataset
        assert (dataset.name, dataset.folder) == ("small", str(tmp_path / "data"))

    def test_dataset_file_beside_the_caller(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_data(tmp_path)
        monkeypatch.chdir(tmp_path)
        for dataset in (
            load_dataset_config("small.yaml"),
            load_config({**PLAIN, "dataset": "small.yaml"}).dataset,
        ):
            assert dataset.folder == str(tmp_path)

    def test_a_saved_config_does_not_depend_on_the_current_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_yaml(tmp_path / "inline.yaml", {**PLAIN, "dataset": DATA})
        monkeypatch.chdir(tmp_path)
        config = load_config("inline.yaml")
        assert config.dataset.name == "data"
        assert config.dataset.folder == str(tmp_path)

    def test_downloads_have_a_home(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GNNSEG_HOME", str(tmp_path))
        assert load_dataset_config("gowalla").folder == str(tmp_path / "datasets" / "gowalla")


class TestOverrides:
    @pytest.mark.parametrize(
        ("override", "path", "value"),
        [
            ("seed=3", ["seed"], 3),
            ("encoder.dim=16", ["encoder", "dim"], 16),
            ("train.learning_rate=1.0e-3", ["train", "learning_rate"], 0.001),
            ("fine_tune.epochs=0", ["fine_tune", "epochs"], 0),
            ("encoder=MatrixFactorization", ["encoder", "name"], "MatrixFactorization"),
            ("encoder={name: GraphSAGE, dim: 4}", ["encoder", "dim"], 4),
            ("head=LoRA", ["head", "rank"], 4),
            (
                "segmenter.views=[Louvain, KMeans, GaussianMixture]",
                ["segmenter", "views", 2, "name"],
                "GaussianMixture",
            ),
            ("text=null", ["text"], None),
            ("name=a=b", ["name"], "a=b"),
            ("dataset.metrics=[hit@5]", ["dataset", "metrics"], ["hit@5"]),
            ("dataset.filters.min_user_items=3", ["dataset", "filters", "min_user_items"], 3),
            ("dataset.split.seed=7", ["dataset", "split", "seed"], 7),
        ],
    )
    def test_one(self, override: str, path: list[str | int], value: object) -> None:
        found: Any = load_config(on_data(FULL), [override]).resolved()
        for key in path:
            found = found[key]
        assert found == value

    def test_others_stay(self) -> None:
        before = load_config(on_data(FULL)).resolved()
        after = load_config(on_data(FULL), ["dataset.split.seed=7", "encoder.dim=16"]).resolved()
        before["dataset"]["split"]["seed"], before["encoder"]["dim"] = 7, 16
        assert after == before

    def test_component_given_by_its_name_alone(self) -> None:
        content = on_data(PLAIN, encoder="LightGCN", loss="SampledSoftmax")
        config = load_config(content, ["encoder.dim=12", "loss.temperature=0.5"])
        assert config.encoder is not None
        assert (config.encoder["name"], config.encoder["dim"]) == ("LightGCN", 12)
        assert config.loss == {
            "name": "SampledSoftmax",
            "temperature": 0.5,
            "cosine": True,
            "log_q": False,
        }

    def test_sampler_and_regularizers(self) -> None:
        content = on_data(PLAIN, regularizers=["EmbeddingL2", {"name": "XSimGCL", "eps": 0.3}])
        config = load_config(content, ["sampler.name=Popularity", "sampler.exponent=0.5"])
        assert config.sampler == {"name": "Popularity", "exponent": 0.5}
        assert config.resolved()["regularizers"] == [
            {"name": "EmbeddingL2", "weight": 1e-4},
            {"name": "XSimGCL", "weight": 0.2, "temperature": 0.2, "eps": 0.3, "layer": 1},
        ]
        assert load_config(yaml.safe_load(config.to_yaml())) == config
        assert load_config(on_data(PLAIN), ["regularizers=[SimGCL]"]).regularizers[0]["name"] == "SimGCL"
        assert load_config(on_data(PLAIN)).resolved()["sampler"] == {"name": "Uniform"}

    def test_the_last_one_counts(self) -> None:
        assert load_config(on_data(PLAIN), ["seed=1", "seed=2"]).seed == 2

    def test_the_given_content_is_left_alone(self) -> None:
        content = on_data(FULL)
        before = yaml.safe_dump(content)
        load_config(content, ["encoder.dim=3", "segmenter.num_segments=2", "dataset.split.seed=1"])
        assert yaml.safe_dump(content) == before

    def test_changes_replace_keys(self) -> None:
        assert load_config(on_data(PLAIN), seed=5).seed == 5

    @pytest.mark.parametrize("override", ["seed", "=3", "", "encoder.dim"])
    def test_syntax(self, override: str) -> None:
        assert failure(on_data(PLAIN), override) == f"an override must look like key=value (got {override!r})"

    def test_value_that_is_not_yaml(self) -> None:
        assert "override encoder.dim: the value is not valid YAML (got '[1')" in failure(
            on_data(PLAIN), "encoder.dim=[1"
        )

    @pytest.mark.parametrize("override", ["train.epochs.more=1", "dataset.metrics.0=hit@1", "seed.x=1"])
    def test_inside_of_a_value(self, override: str) -> None:
        message = failure(on_data(PLAIN, seed=0), override)
        parent = override.split("=")[0].split(".")[-2]
        assert f"'{parent}' holds a value, not keys" in message

    @pytest.mark.parametrize(
        ("override", "nearest"),
        [
            ("encodr.dim=3", "encoder"),
            ("encoder.dimm=3", "dim"),
            ("train.epoch=3", "epochs"),
            ("fine_tune.learning_rat=3", "learning_rate"),
            ("dataset.metric=[ndcg@10]", "metrics"),
            ("dataset.filters.min_ratting=3", "min_rating"),
            ("dataset.split.valdi=0.2", "valid"),
            ("segmenter.num_segment=3", "num_segments"),
        ],
    )
    def test_unknown_key(self, override: str, nearest: str) -> None:
        message = failure(on_data(FULL), override)
        assert f"did you mean '{nearest}'?" in message


def test_a_dataset_given_on_the_command_line_lies_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "books.yaml").write_text("source: {name: Table, interactions: r.csv}\n")
    monkeypatch.chdir(tmp_path)
    assert load_config("movielens/lightgcn", ["dataset=books.yaml"]).dataset.folder == str(tmp_path)
