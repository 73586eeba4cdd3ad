"""What an experiment takes and what it refuses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gnnseg.config import (
    load_config,
    load_dataset_config,
)
from gnnseg.errors import ConfigError
from tests.config.refused import failure
from tests.runs import FULL, PLAIN, SEARCHED, on_data, write_data, write_yaml


class TestBadContent:
    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"encoder": "LightGNC"}, "unknown encoder 'LightGNC'; did you mean 'LightGCN'?"),
            ({"name": "../../etc"}, "'name' must be 1 to 100 letters"),
            ({"name": ""}, "(got '')"),
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
            (
                {"term": ["EASE", "RP3beta"], "term_weight": 1},
                "'term_weight' must have one weight a term, 2 (got 1)",
            ),
            ({"term": "EASE", "term_weight": -1}, "'term_weight.0' should be greater than or equal to 0"),
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
                "takes no regularizers, segmenter, head, local or term",
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
                "takes no regularizers, segmenter, head, local or term",
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
                "takes no regularizers, segmenter, head, local or term",
            ),
            (
                {"text": None, "new_items": "TextRidge"},
                "'new_items' are scored by their texts and need a 'text'",
            ),
            (
                {"encoder": None, "segmenter": None, "head": None, "baseline": "EASE"},
                "takes 'text' for 'new_items' only",
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
