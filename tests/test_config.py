from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from gnnseg.config import (
    KINDS,
    Config,
    DatasetConfig,
    Schedule,
    find_config,
    load_config,
    load_dataset_config,
    shipped_configs,
    shipped_datasets,
)
from gnnseg.config.dataset import read_yaml
from gnnseg.data import SOURCES, SPLITS
from gnnseg.errors import ConfigError
from gnnseg.files import configs_folder
from tests.runs import DATA, FULL, PLAIN, SEARCHED, on_data, write_data, write_yaml

EXPERIMENTS = shipped_configs()
DATASETS = shipped_datasets()


def failure(content: Any, *overrides: str, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(content, overrides, **changes)
    message = str(caught.value)
    assert "\n" not in message
    return message


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

    def test_a_folder_without_one_names_what_it_has(self) -> None:
        with pytest.raises(
            ConfigError, match=r"'gowalla' has no config 'full'; choose one of gowalla/chebycf"
        ):
            load_config("gowalla")


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


class TestBadContent:
    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"encoder": "LightGNC"}, "unknown encoder 'LightGNC'; did you mean 'LightGCN'?"),
            ({"loss": "bpr"}, "unknown loss 'bpr'; did you mean 'BPR'?"),
            ({"sampler": "Popular"}, "unknown sampler 'Popular'; did you mean 'Popularity'?"),
            ({"regularizers": ["SimGLC"]}, "unknown regularizer 'SimGLC'; did you mean 'SimGCL'?"),
            ({"regularizers": "SimGCL"}, "'regularizers' must be a list of components (got 'SimGCL')"),
            ({"regularizers": None}, "'regularizers' must be a list of components (got None)"),
            ({"regularizers": [{"name": "SimGCL", "epsilon": 1}]}, "did you mean 'eps'?"),
            (
                {"encoder": "GraphSAGE", "regularizers": ["EmbeddingL2", "SimGCL"]},
                "SimGCL needs an encoder whose layers take noise (got GraphSAGE); use LightGCN",
            ),
            (
                {
                    "encoder": {"name": "LightGCN", "num_layers": 1},
                    "regularizers": [{"name": "XSimGCL", "layer": 2}],
                },
                "XSimGCL needs layer 2 of the encoder (got num_layers 1)",
            ),
            (
                {
                    "encoder": {"name": "LightGCN", "num_layers": 0, "include_input": False},
                    "regularizers": ["SimGCL"],
                },
                "LightGCN without its input needs a layer (got num_layers 0)",
            ),
            ({"segmenter": "Kmeans"}, "unknown segmenter 'Kmeans'; did you mean 'KMeans'?"),
            ({"head": "Film"}, "unknown head 'Film'; did you mean 'FiLM'?"),
            ({"text": "TfIdf"}, "unknown text encoder 'TfIdf'"),
            ({"encoder": {"dim": 3}}, "encoder must be a name or a mapping with a 'name'"),
            ({"encoder": "nowhere.Model"}, "cannot import encoder 'nowhere.Model'"),
            (
                {"encoder": "gnnseg.losses.BPR"},
                "'gnnseg.losses.BPR' is not a concrete subclass of Encoder",
            ),
            ({"encoder": "gnnseg.encoders.GraphEncoder"}, "is not a concrete subclass"),
            ({"term": "EASY"}, "unknown baseline 'EASY'; did you mean 'EASE'?"),
            ({"term_weight": 0.5}, "'term_weight' needs a 'term' to weigh; name one, or leave it out"),
            ({"term": "EASE", "term_weight": -1}, "'term_weight' should be greater than or equal to 0"),
            (
                {"encoder": "SpectralFilter", "text": "TfidfEncoder"},
                "SpectralFilter takes no item features; leave out 'text'",
            ),
            (
                {"text": None, "encoder": "TextMean"},
                "TextMean needs item features; give the config a 'text'",
            ),
            (
                {"head": {"name": "Experts", "rank": 0, "bias": False}},
                "Experts without 'bias' needs a positive 'rank' (got 0)",
            ),
            ({"local": "Lfit"}, "unknown local model 'Lfit'; did you mean 'Lift'?"),
            ({"local": {"name": "Lift", "prior": 0}}, "local model Lift: 'prior' "),
            ({"local": {"name": "LocalItems", "model": "EASY"}}, "unknown baseline 'EASY'"),
            (
                {"local": {"name": "LocalItems", "model": "Popularity"}},
                "LocalItems: 'model' must be an item-item baseline, such as EASE (got ",
            ),
            ({"head": {"name": "LoRA", "on": "user"}}, "'on' should be 'users', 'items' or 'both'"),
            *(
                (
                    {"head": "GroupMLP", "loss": loss},
                    f"GroupMLP scores pairs by a network and needs a loss of drawn pairs without cosines "
                    f"(got {loss}); use BinaryCrossEntropy, SquaredError or BPR",
                )
                for loss in ("FullSoftmax", "SquaredErrorAllPairs", "CosineContrastive", "SampledSoftmax")
            ),
            ({"choose_by": "ndgc@10"}, "did you mean 'ndcg'?"),
            ({"epochs": 3}, "unknown key 'epochs'"),
        ],
    )
    def test_unknown(self, changes: dict[str, Any], problem: str) -> None:
        assert problem in failure(on_data(FULL, **changes))

    @pytest.mark.parametrize(
        ("override", "problem"),
        [
            ("encoder.dim=0", r"encoder LightGCN: 'dim' .*greater than 0 \(got 0\)"),
            ("encoder.dim=3.5", r"'dim' .*\(got 3.5\)"),
            ("encoder.dim=many", r"'dim' .*\(got 'many'\)"),
            ("encoder.num_layers=-1", r"'num_layers' .*greater than or equal to 0 \(got -1\)"),
            ("train.epochs=-1", r"'train.epochs' .*\(got -1\)"),
            ("train.batch_size=0", r"'train.batch_size' .*\(got 0\)"),
            ("train.learning_rate=-0.1", r"'train.learning_rate' .*\(got -0.1\)"),
            ("train.precision=float8", r"'train.precision' .*\(got 'float8'\)"),
            ("head.dropout=1", r"'dropout' .*less than 1 \(got 1\)"),
            ("segmenter.num_segments=0", r"'num_segments' .*\(got 0\)"),
            ("segmenter.views=[KMeans]", r"'views' must name at least two"),
            ("seed=-1", r"'seed' .*\(got -1\)"),
            ("dataset.split.test=1.5", r"'test' .*\(got 1.5\)"),
            ("dataset.metrics=[]", r"'metrics' must name at least one"),
            ("dataset.metrics=[ndcg]", r"ndcg"),
            ("dataset.filters.min_user_items=-3", r"min_user_items' .*\(got -3\)"),
        ],
    )
    def test_out_of_range(self, override: str, problem: str) -> None:
        assert re.search(problem, failure(on_data(FULL), override))

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"encoder": None}, "needs either 'encoder' or 'baseline'"),
            ({"baseline": "Popularity"}, "needs either 'encoder' or 'baseline'"),
            (
                {"encoder": None, "baseline": "Popularity"},
                "takes no text, regularizers, segmenter, head, local or term",
            ),
            (
                {
                    "encoder": None,
                    "text": None,
                    "segmenter": None,
                    "head": None,
                    "baseline": "EASE",
                    "term": "EASE",
                },
                "takes no text, regularizers, segmenter, head, local or term",
            ),
            ({"head": None}, "'segmenter' needs a 'head' or a 'local' model, and they need a 'segmenter'"),
            ({"segmenter": None}, "'segmenter' needs a 'head' or a 'local' model, and they need a"),
            ({"segmenter": None, "head": None, "local": "Lift"}, "and they need a 'segmenter'"),
            (
                {
                    "encoder": None,
                    "text": None,
                    "segmenter": None,
                    "head": None,
                    "baseline": "EASE",
                    "local": "Lift",
                },
                "takes no text, regularizers, segmenter, head, local or term",
            ),
            ({"dataset": None}, "'dataset'"),
            ({"dataset": {}}, "'dataset.source' is missing"),
            ({"dataset": 3}, "'dataset'"),
        ],
    )
    def test_incomplete(self, changes: dict[str, Any], problem: str) -> None:
        assert problem in failure(on_data(FULL, **changes))

    def test_no_dataset(self) -> None:
        assert "'dataset' is missing" in failure(PLAIN)

    def test_says_which_file(self, tmp_path: Path) -> None:
        path = write_yaml(tmp_path / "mine.yaml", on_data(PLAIN, sead=1))
        assert failure(path) == f"{path}: unknown key 'sead'; did you mean 'seed'?"

    def test_says_which_dataset_file(self, tmp_path: Path) -> None:
        path = write_data(tmp_path, splitt="Random")
        with pytest.raises(ConfigError, match=r"small\.yaml: unknown key 'splitt'; did you mean 'split'"):
            load_dataset_config(path)


def test_a_dataset_given_on_the_command_line_lies_relative_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "books.yaml").write_text("source: {name: Table, interactions: r.csv}\n")
    monkeypatch.chdir(tmp_path)
    assert load_config("movielens/lightgcn", ["dataset=books.yaml"]).dataset.folder == str(tmp_path)


class TestLocal:
    @pytest.mark.parametrize("head", [None, "FiLM"])
    def test_round_trip(self, head: str | None, tmp_path: Path) -> None:
        config = load_config(on_data(FULL, head=head, local={"name": "LocalItems", "width": 0.2}))
        model = {"name": "EASE", "regularization": 500.0, "dropout": 0.0, "user_exponent": 0.0}
        assert config.local == {
            "name": "LocalItems",
            "model": {**model, "item_exponent": 0.0, "max_items": 20_000},
            "width": 0.2,
            "num_neighbors": 200,
        }
        path = tmp_path / "config.yaml"
        path.write_text(config.to_yaml(), encoding="utf-8")
        assert load_config(path) == config

    def test_settings_of_the_model_inside(self) -> None:
        local = {"name": "LocalItems", "model": "EASE"}
        config = load_config(on_data(FULL, local=local), ["local.model.regularization=3"])
        assert config.local is not None
        assert config.local["model"]["regularization"] == 3
        assert "'regularization'" in failure(on_data(FULL, local=local), "local.model.regularization=-3")

    def test_none(self) -> None:
        assert load_config(on_data(FULL)).local is None


class TestReference:
    PUBLISHED: ClassVar[dict[str, Any]] = {
        "source": "arXiv 2002.02126, table 3",
        "metrics": {"recall@20": 0.183, "ndcg@20": 0.1554},
    }

    def test_round_trip(self, tmp_path: Path) -> None:
        config = load_config(on_data(PLAIN, reference=self.PUBLISHED))
        assert config.resolved()["reference"] == self.PUBLISHED
        (tmp_path / "config.yaml").write_text(config.to_yaml())
        assert load_config(tmp_path / "config.yaml") == config.model_copy(update={"name": "run"})

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"sorce": "x"}, "unknown key in 'reference' 'sorce'; did you mean 'source'?"),
            ({"source": ""}, "'reference.source' must say where the figures stand (got '')"),
            ({"metrics": {}}, "'reference.metrics' must name at least one, such as recall@20: 0.183"),
            ({"metrics": {"recal@20": 0.1}}, "did you mean 'recall'?"),
            ({"metrics": {"recall@20": 18.3}}, "'reference.metrics.recall@20' should be less than or equal"),
            ({"metrics": {"recall@20": "good"}}, "'reference.metrics.recall@20' should be a valid number"),
        ],
    )
    def test_bad(self, changes: dict[str, Any], problem: str) -> None:
        assert problem in failure(on_data(PLAIN, reference={**self.PUBLISHED, **changes}))

    def test_incomplete(self) -> None:
        assert "'reference.source' is missing" in failure(on_data(PLAIN, reference={"metrics": {"hit@1": 0}}))

    def test_belongs_to_its_dataset(self, tmp_path: Path) -> None:
        content = on_data(PLAIN, reference=self.PUBLISHED)
        other = load_dataset_config(str(write_data(tmp_path))).model_dump()
        own = load_config(content).dataset.model_dump()
        assert load_config(content, ["dataset.metrics=[hit@5]", "seed=1"]).reference is not None
        assert load_config(content, dataset=own).reference is not None
        assert load_config(content, dataset=other).reference is None
        assert load_config(content, ["dataset.split.seed=7"]).reference is None
        assert load_config(content, ["dataset=movielens"]).reference is None


class TestSearch:
    def test_round_trip(self, tmp_path: Path) -> None:
        config = load_config(on_data(SEARCHED))
        assert config.search["train.learning_rate"] == {"low": 0.001, "high": 0.1, "log": True, "step": None}
        assert config.search["encoder.num_layers"] == [1, 2, 3]
        (tmp_path / "run.yaml").write_text(config.to_yaml())
        assert load_config(tmp_path / "run.yaml") == config

    def test_none(self) -> None:
        assert load_config(on_data(PLAIN, search=None)).search == load_config(on_data(PLAIN)).search == {}

    def test_components_are_choices_too(self) -> None:
        choices = ["BPR", {"name": "SampledSoftmax", "temperature": 0.5}]
        config = load_config(on_data(PLAIN, search={"loss": choices}))
        assert config.with_settings({"loss": choices[1]}).loss["temperature"] == 0.5
        assert config.with_settings({"loss": "BPR"}).search == config.search

    @pytest.mark.parametrize(
        ("key", "form", "problem"),
        [
            (
                "encoder.dim",
                [4, 0],
                "search of encoder.dim: encoder LightGCN: 'dim' should be greater than 0",
            ),
            ("encoder.dim", {"low": 0, "high": 9}, "'dim' should be greater than 0 (got 0)"),
            ("encoder.dmi", [3], "search of encoder.dmi: encoder LightGCN: unknown key 'dmi'; did you mean"),
            ("train.epoch", [3], "search of train.epoch: unknown key in 'train' 'epoch'"),
            ("train.learning_rate", {"low": 0.1, "high": 1e9}, "should be less than or equal to 100"),
            ("head.rank", [3], "search of head.rank: head must be a name or a mapping"),
            ("loss", ["BRP"], "search of loss: unknown loss 'BRP'; did you mean 'BPR'?"),
            ("seed", [1, 2], "search of seed: what can be searched lies in baseline, text, encoder, loss, "),
            (
                "dataset.split.seed",
                [1],
                "search of dataset.split.seed: what can be searched lies in baseline",
            ),
        ],
    )
    def test_what_the_config_does_not_take(self, key: str, form: object, problem: str) -> None:
        assert problem in failure(on_data(PLAIN, search={key: form}))
