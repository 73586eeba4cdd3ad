from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.cli.invoking import failure, invoke, output, printed
from tests.runs import fit, on_data, saved_baseline, saved_run, tagged_run, trained, unsealed, write_data


def test_json() -> None:
    metrics = trained().metrics
    found = printed("evaluate", saved_run())
    assert found.keys() == {"test", "test_intervals", "segments"}
    assert found["test"] == {k: metrics["test"][k] for k in found["test"]}
    assert found["segments"] == metrics["segments"]
    valid = printed("evaluate", saved_run(), "--split", "valid", "--device", "cpu")
    assert {k: valid["valid"][k] for k in metrics["valid"]} == metrics["valid"]


def test_table() -> None:
    text = output("evaluate", saved_run())
    assert f"{trained().metrics['test']['ndcg@10']:.4f}" in text
    assert "by segment" in text
    assert "by segment" not in output("evaluate", saved_baseline())


def test_what_reranking_costs() -> None:
    found = printed("evaluate", saved_run(), "--popularity-penalty", 0.6)
    plain = printed("evaluate", saved_run())
    again = found["reranking"]
    assert {k: v for k, v in found.items() if k != "reranking"} == plain
    for metric, cost in again["cost"].items():
        assert cost["difference"] == pytest.approx(again["metrics"][metric] - plain["test"][metric])
        assert cost["low"] <= cost["difference"] <= cost["high"]
    assert again["exposure"]["before"]["gini"] == pytest.approx(plain["test"]["gini"])
    before, after = (again["exposure"][when]["bins"][0]["of_lists"] for when in ("before", "after"))
    assert after < before
    text = output("evaluate", saved_run(), "--diversity", 0.5, "--split", "valid")
    assert "against by score, 95 %" in text
    assert "tail in lists" in text
    problem = failure("evaluate", saved_run(), "--popularity-penalty", 1)
    assert problem == "'popularity_penalty' must be at least 0 and below 1 (got 1.0)"


def test_what_calibration_costs() -> None:
    found = printed("evaluate", tagged_run(), "--calibration", 0.9)["reranking"]
    tags = found["miscalibration"]
    assert tags["after"] < 0.8 * tags["before"]
    assert tags["difference"]["difference"] == pytest.approx(tags["after"] - tags["before"])
    assert tags["difference"]["high"] < 0
    fair = json.loads((tagged_run() / "fairness.json").read_text())
    assert tags["before"] == pytest.approx(fair["calibration"]["mean"])
    plain = printed("evaluate", tagged_run())["test"]["ndcg@10"]
    assert found["cost"]["ndcg@10"]["difference"] == pytest.approx(found["metrics"]["ndcg@10"] - plain)
    text = output("evaluate", tagged_run(), "--calibration", 0.9)
    assert f"tags from the histories': {tags['before']:.3f} to {tags['after']:.3f}" in text
    assert printed("evaluate", saved_run(), "--diversity", 0.5)["reranking"]["miscalibration"] is None
    assert "keeps no tags of its items" in failure("evaluate", saved_run(), "--calibration", 0.5)


def test_quiet() -> None:
    result = invoke("evaluate", saved_run(), "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_no_run(tmp_path: Path) -> None:
    assert failure("evaluate", tmp_path / "absent").startswith("there is no run '")
    assert "is this the folder of a finished run?" in failure("evaluate", tmp_path)


def test_damaged(tmp_path: Path) -> None:
    folder = unsealed(saved_run(), tmp_path / "run")
    (folder / "embeddings.safetensors").write_bytes(b"no")
    assert failure("evaluate", folder).startswith(f"'{folder / 'embeddings.safetensors'}' is damaged")


def test_data_that_changed(tmp_path: Path) -> None:
    path = write_data(tmp_path)
    fit(on_data({"baseline": "Popularity"}, dataset=str(path)), out=tmp_path / "run")
    ratings = (tmp_path / "ratings.csv").read_text().splitlines()
    (tmp_path / "ratings.csv").write_text("\n".join(ratings[:-30]) + "\n")
    assert "have changed since it was trained" in failure("evaluate", tmp_path / "run")
    (tmp_path / "ratings.csv").unlink()
    assert "ratings.csv" in failure("evaluate", tmp_path / "run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none() -> None:
    assert "this machine has 0 of its kind" in failure("evaluate", saved_run(), "--device", "cuda")
