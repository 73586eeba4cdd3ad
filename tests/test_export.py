from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from gnnseg.checkpoint import load_run, load_tensors
from gnnseg.errors import CheckpointError, ConfigError
from gnnseg.export import ItemIndex, export
from gnnseg.pipeline import fit
from gnnseg.ranking import top_k
from tests.cli.invoking import failure, output, printed
from tests.runs import FULL, ITEMS, LOCAL, USERS, on_data, saved_baseline, saved_run, unsealed

EXACT: dict[str, dict[str, Any]] = {
    "two tables": {**FULL, "term": {"name": "ImplicitALS", "dim": 8}, "term_weight": 0.7},
    "experts": {**FULL, "head": "Experts"},
    "gated lift": {**LOCAL, "local": "Lift"},
}
MIXED: dict[str, Any] = {
    "encoder": {"name": "SpectralFilter", "dim": 6},
    "train": {"epochs": 0},
    "term": "ItemKNN",
    "term_weight": 0.7,
}


@pytest.mark.parametrize("name", EXACT)
def test_sums_of_dot_products_are_one(name: str, tmp_path: Path) -> None:
    fit(on_data(EXACT[name], name="run"), out=tmp_path / "run")
    run = load_run(tmp_path / "run")
    about = export(run, tmp_path / "out")
    assert about["exact"]
    tables = load_tensors(tmp_path / "out" / "embeddings.safetensors")
    expected = run.scorer.score(torch.arange(USERS)).numpy()
    found = (tables["users"] @ tables["items"].T).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    frame = pl.read_parquet(tmp_path / "out" / "items.parquet")
    assert frame["id"].to_list() == list(run.items)
    assert np.array_equal(frame["vector"].to_numpy(), tables["items"].numpy())


def test_what_is_left_out_is_said_and_measured(tmp_path: Path) -> None:
    fit(on_data(MIXED, name="run"), out=tmp_path / "run")
    run = load_run(tmp_path / "run")
    about = export(run, tmp_path / "out", k=5)
    assert (about["exact"], about["left_out"]) == (False, ["ItemGraph"])
    tables = load_tensors(tmp_path / "out" / "embeddings.safetensors")
    rows = np.arange(USERS)
    system = top_k(run.scorer, rows, 5)[0]
    exact = (-(tables["users"] @ tables["items"].T)).argsort(1)[:, :5].numpy()
    shares = [len(set(a) & set(b)) / 5 for a, b in zip(exact.tolist(), system.tolist(), strict=True)]
    assert about["recall"]["of_full_system"] == pytest.approx(np.mean(shares), abs=0.01)
    assert about["recall"]["of_full_system"] < 1


def test_item_item_models_have_no_vectors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ItemGraph of .* has no vectors to export"):
        export(load_run(saved_baseline()), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_index_finds_what_exact_search_finds(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    run = load_run(saved_run())
    about = export(run, tmp_path / "out", index=True)
    assert about["index"]["recall_of_exact"] > 0.95
    index = ItemIndex.load(tmp_path / "out", run)
    tables = load_tensors(tmp_path / "out" / "embeddings.safetensors")
    best = (tables["users"] @ tables["items"].T).argmax(1).numpy()
    assert (index.search(tables["users"], 3) == best[:, None]).any(1).mean() > 0.95


def test_an_index_of_another_run_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    export(load_run(saved_run()), tmp_path / "out", index=True)
    unsealed(saved_run(), tmp_path / "moved")
    assert ItemIndex.load(tmp_path / "out", load_run(tmp_path / "moved")).index.size == ITEMS
    other = tmp_path / "moved" / "users.json"
    other.write_text(json.dumps([f"x{n}" for n in range(USERS)]))
    with pytest.raises(CheckpointError, match="is the index of another run"):
        ItemIndex.load(tmp_path / "out", load_run(tmp_path / "moved"))
    (tmp_path / "out" / "items.usearch").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="missing or damaged"):
        ItemIndex.load(tmp_path / "out", load_run(saved_run()))


@pytest.mark.parametrize("content", [*EXACT.values(), MIXED, {**LOCAL, "local": "Lift", "term": "EASE"}])
def test_onnx(content: dict[str, Any], tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    fit(on_data(content, name="run"), out=tmp_path / "run")
    run = load_run(tmp_path / "run")
    export(run, tmp_path / "out", onnx=True)
    session = runtime.InferenceSession(str(tmp_path / "out" / "scorer.onnx"))
    rows = np.array([3, 41])
    given = {"users": rows, "histories": run.train[rows].toarray()}
    found = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})[0]
    expected = run.scorer.score(torch.from_numpy(rows)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_command(tmp_path: Path) -> None:
    about = printed("export", saved_run(), "--to", tmp_path / "a")
    assert about["exact"]
    assert "all of the scores" in output("export", saved_run(), "--to", tmp_path / "b")
    assert "exists already" in failure("export", saved_run(), "--to", tmp_path / "a")
