from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from gnnseg.checkpoint import (
    graph_of,
    load_run,
    load_tensors,
    read_json,
    save_tensors,
)
from gnnseg.errors import CheckpointError, GnnsegError
from gnnseg.pipeline import evaluate_run, fit
from gnnseg.recommend import Recommender
from gnnseg.scoring import Gated, Mixture
from tests.runs import (
    FULL,
    LOCAL,
    PLAIN,
    PLAIN_SEGMENTS,
    USERS,
    contents,
    fill_disk,
    local_folder,
    local_run,
    on_data,
    same_state,
    saved_baseline,
    saved_run,
    scores,
    trained,
    unsealed,
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the saved full system, to be damaged."""
    return unsealed(saved_run(), tmp_path / "moved" / "elsewhere")


def failure(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_run(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestRoundTrip:
    def test_bit_for_bit_in_another_folder(
        self, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        monkeypatch.chdir(tmp_path / "here")
        result, saved = trained(), load_run(copy)
        rows = torch.arange(USERS)
        assert torch.equal(saved.scorer.score(rows), scores(result))
        assert saved.users.ids == result.data.dataset.users.ids
        assert saved.items.ids == result.data.dataset.items.ids
        assert saved.texts == list(result.data.dataset.texts or ())
        assert (saved.train != result.data.train).nnz == 0
        assert (saved.seen != result.data.seen).nnz == 0
        assert result.model is not None
        assert result.model.segmenter is not None
        assert saved.memberships is not None
        assert torch.equal(saved.memberships, result.model.segmenter.memberships)
        first, second = (
            Recommender.load(folder).recommend(["1000", "1059"]) for folder in (copy, saved_run())
        )
        assert first == second

    def test_the_model(self, copy: Path) -> None:
        saved = load_run(copy)
        model = saved.model()
        assert model is not None
        assert trained().model is not None
        assert same_state(model, trained().model)
        assert not model.training
        assert torch.equal(model.scorer(graph_of(saved)).score(torch.arange(USERS)), scores(trained()))

    @pytest.mark.parametrize(
        "content",
        [
            {"baseline": "Popularity"},
            {"baseline": "EASE"},
            {"baseline": "ItemKNN"},
            PLAIN,
            {**PLAIN, "encoder": {"name": "MatrixFactorization", "dim": 4}},
            {**FULL, "encoder": {"name": "GraphSAGE", "dim": 8, "features_as": "both"}, "head": "LoRA"},
            {**FULL, "segmenter": {"name": "GaussianMixture", "num_segments": 2}, "head": "Shared"},
            {**FULL, "segmenter": "OneSegment"},
            {**FULL, "head": {"name": "LoRA", "on": "both"}},
            {**FULL, "head": "Experts"},
            {**FULL, "head": "SubgraphPropagation"},
            PLAIN_SEGMENTS,
            LOCAL,
            {**LOCAL, "local": "Lift"},
            {**LOCAL, "local": {"name": "LocalItems", "model": "RP3beta"}, "head": "FiLM"},
            {**LOCAL, "term": "ItemKNN", "term_weight": 0.01},
            {**LOCAL, "segmenter": "OneSegment", "local": "Lift"},
            {**LOCAL, "segmenter": {"name": "Hard", "of": "KMeans"}},
            {**LOCAL, "segmenter": {"name": "Views", "views": ["Leiden", "KMeans"]}},
        ],
        ids=lambda content: str(
            content.get("baseline") or [content["encoder"]["name"], content.get("head"), content.get("local")]
        ),
    )
    def test_every_kind_of_run(self, content: dict[str, Any], tmp_path: Path) -> None:
        epochs = 0 if content.get("local") else 1
        content = on_data(content, train={"epochs": epochs}, fine_tune={"epochs": 1})
        result = fit(content, out=tmp_path / "run")
        saved = load_run(tmp_path / "run")
        assert torch.equal(saved.scorer.score(torch.arange(USERS)), scores(result))
        assert saved.scorer.kind == result.scorer.kind
        model = saved.model()
        assert (model is None) == (result.model is None) == ("baseline" in content)
        if model is not None:
            assert result.model is not None
            assert same_state(model, result.model)
            own = result.scorer.whole if isinstance(result.scorer, Gated) else result.scorer
            own = next(iter(own.scorers)) if isinstance(own, Mixture) else own
            rows = torch.arange(USERS)
            assert torch.equal(model.scorer(graph_of(saved)).score(rows), own.score(rows))

    def test_a_local_model_bit_for_bit(self) -> None:
        result, saved = local_run(), load_run(local_folder())
        assert isinstance(saved.scorer, Gated)
        assert same_state(saved.scorer, result.scorer)
        header = json.loads((local_folder() / "model.json").read_text())
        assert header["scorer"] == {"whole": "DotProduct", "local": "MemberItems"}
        assert header["segments"] == 3
        assert evaluate_run(saved, "test", "cpu")["test"] == result.test.means

    def test_no_pickle(self) -> None:
        for folder in (saved_run(), saved_baseline()):
            assert {path.suffix for path in folder.iterdir()} <= {
                ".md",
                ".yaml",
                ".json",
                ".jsonl",
                ".safetensors",
            }


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    path.write_bytes(b"\xff\x00scrambled" * 9)


def other_json(path: Path) -> None:
    path.write_text("[1, 2]")


class TestDamaged:
    @pytest.mark.parametrize("damage", [remove, cut, empty, scramble])
    @pytest.mark.parametrize("name", ["model.json", "embeddings.safetensors", "users.json", "items.json"])
    def test_a_file(self, copy: Path, name: str, damage: Callable[[Path], None]) -> None:
        damage(copy / name)
        assert str(copy / name) in failure(copy)

    @pytest.mark.parametrize("damage", [remove, empty, scramble])
    def test_the_config(self, copy: Path, damage: Callable[[Path], None]) -> None:
        damage(copy / "config.yaml")
        with pytest.raises(GnnsegError) as caught:
            load_run(copy)
        assert str(copy / "config.yaml") in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("damage", [remove, cut, empty, scramble])
    def test_the_weights(self, copy: Path, damage: Callable[[Path], None]) -> None:
        damage(copy / "model.safetensors")
        recommender = Recommender.load(copy)
        assert recommender.recommend(["1000"]) == Recommender.load(saved_run()).recommend(["1000"])
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            recommender.recommend_for(["i00"])

    @pytest.mark.parametrize("name", ["model.json", "users.json", "items.json", "texts.json"])
    def test_other_json(self, copy: Path, name: str) -> None:
        other_json(copy / name)
        assert name in failure(copy)

    def test_another_runs_tables(self, copy: Path) -> None:
        shutil.copy(saved_baseline() / "embeddings.safetensors", copy)
        assert "embeddings.safetensors" in failure(copy)

    @pytest.mark.parametrize("table", ["seen.indices", "train.indptr", "scorer.items"])
    def test_a_missing_table(self, copy: Path, table: str) -> None:
        tables = load_file(copy / "embeddings.safetensors")
        del tables[table]
        save_file(tables, copy / "embeddings.safetensors")
        message = failure(copy)
        assert "embeddings.safetensors" in message

    def test_weights_of_another_config(self, copy: Path) -> None:
        text = (copy / "config.yaml").read_text()
        assert "dim: 8" in text
        (copy / "config.yaml").write_text(text.replace("dim: 8", "dim: 6"))
        with pytest.raises(CheckpointError, match=r"model\.safetensors' does not fit its config") as caught:
            load_run(copy).model()
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("name", ["users", "items", "features", "segments"])
    @pytest.mark.parametrize("value", [10**12, -1, 1.5, "7", True, 10**7])
    def test_sizes_that_are_not_there(self, copy: Path, name: str, value: object) -> None:
        """Refused, and not before the memory that they ask for was taken."""
        path = copy / "model.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
        with pytest.raises(
            GnnsegError, match=r"model\.json|fit its config|embeddings\.safetensors|needs .* bytes"
        ):
            load_run(copy).model()

    def test_a_config_that_asks_for_more(self, copy: Path) -> None:
        path = copy / "config.yaml"
        text = path.read_text()
        assert "\n  dim: 8\n" in text
        path.write_text(text.replace("\n  dim: 8\n", "\n  dim: 1000000000\n"))
        with pytest.raises(CheckpointError, match=r"does not fit its config: it must have \d+ bytes"):
            load_run(copy).model()

    @pytest.mark.parametrize("table", ["train.indices", "seen.indices", "train.indptr"])
    def test_histories_that_lead_out(self, copy: Path, table: str) -> None:
        path = copy / "embeddings.safetensors"
        tables = load_file(path)
        tables[table][-1] += 10**6
        save_file(tables, path)
        assert table.split(".")[0] in failure(copy)

    def test_a_format_of_the_future(self, copy: Path) -> None:
        header = json.loads((copy / "model.json").read_text())
        (copy / "model.json").write_text(json.dumps({**header, "format": 2}))
        assert "was written by another version of gnnseg (format 2" in failure(copy)

    def test_no_folder(self, tmp_path: Path) -> None:
        assert f"there is no run '{tmp_path / 'absent'}'" in failure(tmp_path / "absent")

    def test_foreign_folder(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
        message = failure(tmp_path)
        assert str(tmp_path / "model.json") in message
        assert "is this the folder of a finished run?" in message

    def test_a_file_is_no_run(self, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("")
        assert "there is no run" in failure(tmp_path / "run")


class TestTensors:
    def test_round_trip(self, tmp_path: Path) -> None:
        shared = torch.arange(12.0).reshape(3, 4)
        tensors = {
            "a": shared,
            "view": shared.T,
            "same": shared,
            "none": torch.zeros(0, 3),
            "n": torch.tensor(3),
        }
        save_tensors(tmp_path / "t.safetensors", tensors)
        found = load_tensors(tmp_path / "t.safetensors")
        assert found.keys() == tensors.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())

    def test_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        save_tensors(tmp_path / "t.safetensors", {"a": torch.ones(2)})
        before = contents(tmp_path)
        with monkeypatch.context() as patch:
            fill_disk(patch, "t.safetensors")
            with pytest.raises(GnnsegError, match=r"cannot write .*No space left on device"):
                save_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(2)})
        assert contents(tmp_path) == before

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"cannot read '.*t\.safetensors'"):
            load_tensors(tmp_path / "t.safetensors")
        with pytest.raises(CheckpointError, match=r"cannot read '.*t\.json'"):
            read_json(tmp_path / "t.json")


def test_seen_is_train_and_valid() -> None:
    saved, parts = load_run(saved_run()), trained().data.parts
    assert saved.train.nnz == len(parts.train)
    assert saved.seen.nnz == len(parts.train) + len(parts.valid)
    assert np.asarray(saved.seen[parts.valid.users, parts.valid.items]).all()
    assert not np.asarray(saved.seen[parts.test.users, parts.test.items]).any()
