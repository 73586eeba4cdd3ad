from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
import yaml

from gnnseg.model_card import FILE, card, plain
from tests.runs import saved_baseline, saved_run, trained

HOSTILE = "a | b\n# <script>alert(1)</script> `x` [l](http://e) ---"


def parts(text: str) -> tuple[dict[str, Any], str]:
    _, header, body = text.split("---\n", 2)
    return yaml.safe_load(header), body


def card_of(**changes: Any) -> str:
    run = trained()
    given = {
        "config": run.config,
        "data": run.data.describe(),
        "metrics": run.metrics,
        "segments": run.segments,
        "fairness": run.fairness,
    }
    return card(**{**given, **changes})


def test_every_run_has_one() -> None:
    assert (saved_run() / FILE).read_text(encoding="utf-8") == card_of()
    text = (saved_baseline() / FILE).read_text(encoding="utf-8")
    assert "ItemKNN" in text
    assert "## Segments" not in text
    assert "A baseline" in text


def test_the_hub_reads_it() -> None:
    """Against the hub's own reader."""
    hub = pytest.importorskip("huggingface_hub")
    found = hub.ModelCard(card_of(), ignore_metadata_errors=False).data
    assert found.library_name == "gnnseg"
    assert found.model_name == "full"
    means = {r.metric_type: r.metric_value for r in found.eval_results}
    test = trained().test
    assert means == {name: round(i["mean"], 6) for name, i in test.intervals().items()}
    assert {r.dataset_name for r in found.eval_results} == {trained().data.dataset.name}


def test_figures_with_intervals() -> None:
    _, body = parts(card_of())
    for name, i in trained().test.intervals().items():
        assert f"| {name} | {i['mean']:.4f} | {i['low']:.4f} to {i['high']:.4f} |" in body
    for segment in (trained().segments or {})["segments"]:
        assert f"| {segment['segment']} | {plain(segment['name'])} | {segment['users']} |" in body
    assert trained().data.dataset.digest in body
    assert "personal data" in body


def test_small_segments_are_hidden() -> None:
    segments = copy.deepcopy(trained().segments) or {}
    segments["segments"][0] |= {"hidden": True, "users": None, "share": None, "name": "secret"}
    _, body = parts(card_of(segments=segments))
    assert "secret" not in body
    assert "| 0 |  | <10 |  |" in body


def test_text_of_the_data_stays_text() -> None:
    segments, fair = copy.deepcopy(trained().segments) or {}, copy.deepcopy(trained().fairness) or {}
    segments["segments"][0]["name"] = HOSTILE
    fair["groups"][0]["gap"]["best"] = HOSTILE
    data = {**trained().data.describe(), "name": HOSTILE}
    header, body = parts(card_of(segments=segments, fairness=fair, data=data))
    assert header["model-index"][0]["results"][0]["dataset"]["name"] == HOSTILE
    assert not re.search(r"(?<!\\)<script", body)
    assert not re.search(r"^# <", body, flags=re.MULTILINE)
    rows = [line for line in body.splitlines() if line.startswith("| 0 | a ")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 5


def test_numbers_that_are_not_there() -> None:
    metrics = json.loads(json.dumps(trained().metrics))
    metrics |= {"test_intervals": {}, "valid": {}}
    header, _ = parts(card_of(metrics=metrics, segments=None, fairness=None))
    assert "model-index" not in header
