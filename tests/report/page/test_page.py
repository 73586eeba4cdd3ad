from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from gnnseg.checkpoint import load_tensors, save_tensors
from gnnseg.errors import ConfigError, DataError
from gnnseg.evaluation import evaluate
from gnnseg.graph import Embeddings
from gnnseg.report.page import page, page_data, write_page
from gnnseg.report.page.inputs import read_inputs
from gnnseg.report.page.judged import global_scorer
from gnnseg.report.page.layout import place
from gnnseg.scoring import Gated
from tests.cli.invoking import failure, invoke, printed
from tests.runs import (
    GROUPS,
    ITEMS,
    USERS,
    local_folder,
    local_run,
    saved_baseline,
    saved_run,
    trained,
    unsealed,
)

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\u2028\u2029 & \"'",
    "\ud800",
    "x" * 10_000,
]


class Parts(HTMLParser):
    """Elements, and what script and style elements hold."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] and self.tags[-1][0] in ("script", "style") and data.strip():
            self.inside.append(data)


def parts(text: str) -> Parts:
    found = Parts()
    found.feed(text)
    return found


def unpacked(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype=kind)


def with_small_segment(folder: Path) -> Path:
    """The run with five users in a segment of their own."""
    unsealed(saved_run(), folder)
    tables = load_tensors(folder / "embeddings.safetensors")
    memberships = tables["memberships"].clone()
    memberships[:, 2] = 0
    memberships[:, :2] += 0.01
    memberships[:5] = 0
    memberships[:5, 2] = 1
    save_tensors(folder / "embeddings.safetensors", {**tables, "memberships": memberships})
    content = json.loads((folder / "segments.json").read_text())
    content["segments"][2] |= {"hidden": True, "name": "secret", "users": 5}
    (folder / "segments.json").write_text(json.dumps(content))
    return folder


def test_hostile_text_is_data() -> None:
    data = {"names": HOSTILE}
    found = parts(page(HOSTILE[0], data))
    assert [tag for tag, _ in found.tags].count("script") == 2
    assert "img" not in [tag for tag, _ in found.tags]
    held = next(text for text in found.inside if text.startswith("{"))
    assert json.loads(held)["names"] == [name.replace("\ud800", "?") for name in HOSTILE]
    assert not set("<>&\u2028\u2029") & set(held)


def test_policy_allows_what_stands_there_and_nothing_else() -> None:
    text = page("a page", {})
    found = parts(text)
    policy = next(a["content"] for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    hashes = re.findall(r"'sha256-([^']+)'", policy)
    style, script = (
        re.search(r"<style>(.*?)</style>", text, re.S),
        re.search(r"<script>(.*?)</script>", text, re.S),
    )
    assert style is not None
    assert script is not None
    expected = [hashlib.sha256(found.group(1).encode()).digest() for found in (script, style)]
    assert [base64.b64decode(h) for h in hashes] == expected
    assert not re.search(r"(innerHTML|outerHTML|insertAdjacent|document\.write|fetch\(|eval\()", text)
    assert not {"src", "href"} & {name for tag, a in found.tags for name in a if tag != "a"}


def test_what_a_run_shows() -> None:
    data = page_data(saved_run())
    mapped = data["map"]
    assert (mapped["users"], mapped["items"]) == (USERS, ITEMS)
    assert len(unpacked(mapped["points"], "<u2")) == 2 * (USERS + ITEMS)
    segments = unpacked(mapped["colours"][0]["labels"], "u1")[:USERS]
    memberships = read_inputs(saved_run()).saved.memberships
    assert memberships is not None
    assert np.array_equal(segments, memberships.numpy().argmax(1))
    assert [c["key"] for c in mapped["colours"]] == [
        "segment",
        "community",
        "cluster",
        "interactions",
        "ndcg@10",
    ]
    assert [s["segment"] for s in data["segments"]] == [0, 1, 2]
    assert data["figures"]["ndcg@10"]["mean"] == pytest.approx(trained().metrics["test"]["ndcg@10"])
    assert len(data["curves"]) == len(trained().history)
    seen = read_inputs(saved_run()).saved.seen.toarray()
    names = read_inputs(saved_run()).item_names
    users = read_inputs(saved_run()).saved.users.ids
    for person in data["people"]:
        row = users.index(person["name"])
        assert not any(seen[row, names.index(r["name"])] for r in person["recommended"])
        assert all(seen[row, names.index(name)] for name in person["history"])


def test_segments_against_the_global_model() -> None:
    run = local_run()
    data = page_data(local_folder())["judged"]
    assert isinstance(run.scorer, Gated)
    whole = evaluate(run.scorer.whole, run.data.parts.test, run.data.seen, ["ndcg@10"]).per_user["ndcg@10"]
    served = run.test.per_user["ndcg@10"]
    overall = data["rows"][0]
    assert overall["global"]["ndcg@10"]["mean"] == pytest.approx(whole.mean(), abs=1e-5)
    assert overall["difference"]["ndcg@10"]["mean"] == pytest.approx((served - whole).mean(), abs=1e-5)
    assert sum(row["users"] for row in data["rows"][1:]) == len(served)


def test_the_global_model_of_a_head() -> None:
    """Without its head it ranks by the encoder's vectors."""
    scorer, model = global_scorer(read_inputs(saved_run())), trained().model
    assert scorer is not None
    assert model is not None
    users, items = model.encoder(trained().data.graph)
    rows = np.arange(5)
    np.testing.assert_allclose(
        scorer.score(torch.from_numpy(rows)).numpy(), (users[:5] @ items.T).detach().numpy(), atol=1e-5
    )


def test_small_groups_are_nowhere(tmp_path: Path) -> None:
    folder = with_small_segment(tmp_path / "run")
    data = page_data(folder)
    text = json.dumps(data)
    assert "secret" not in text
    hidden = {str(1000 + user) for user in range(5)}
    assert data["map"]["users"] == USERS - 5
    assert not hidden & set(data["map"]["names"])
    assert not hidden & {person["name"] for person in data["people"]}
    assert data["segments"][2] == {"segment": 2, "hidden": True, "name": "", "users": None}
    assert {row["segment"] for row in data["judged"]["rows"]} == {None, 0, 1}


def test_anonymous() -> None:
    shown, left_out = (json.dumps(page_data(saved_run(), anonymous=a)) for a in (False, True))
    ids = [f'"{1000 + user}"' for user in range(USERS)]
    assert all(name in shown for name in ids)
    assert not any(name in left_out for name in ids)


def test_a_baseline_has_a_page() -> None:
    data: dict[str, Any] = page_data(saved_baseline())
    assert data["segments"] == []
    assert data["heat"] is None
    assert data["people"]
    assert [c["key"] for c in data["map"]["colours"]] == ["community", "cluster", "interactions", "ndcg@10"]


def test_fairness_is_that_of_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    unsealed(saved_run(), folder)
    assert page_data(folder)["fairness"] == json.loads((folder / "fairness.json").read_text())
    (folder / "fairness.json").unlink()  # as in runs of older versions
    assert page_data(folder)["fairness"] is None


def test_data_that_are_gone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    unsealed(saved_run(), folder)
    config = (folder / "config.yaml").read_text().replace("ratings.csv", "absent.csv")
    (folder / "config.yaml").write_text(config)
    data = page_data(folder)
    assert data["judged"] is None
    assert "could not be read again" in data["notes"][-1]["text"]


def test_compare() -> None:
    other = page_data(saved_run(), compare=saved_run())["compare"]
    assert other["drift"]["moved"] == 0
    assert other["drift"]["rand"] == 1
    assert other["difference"]["ndcg@10"] == {"mean": 0, "low": 0, "high": 0}


def test_small_flows_between_segments_are_hidden(tmp_path: Path) -> None:
    folder = with_small_segment(tmp_path / "run")
    counts = page_data(saved_run(), compare=folder)["compare"]["drift"]["counts"]
    assert all(n is None or n == 0 or n >= 10 for row in counts for n in row)


def test_map_is_scikit_learns_pca() -> None:

    vectors = Embeddings(torch.randn(40, 6), torch.randn(30, 6))
    found = place(vectors)
    unit = [torch.nn.functional.normalize(part, dim=1) for part in vectors]
    stacked = torch.cat([part - part.mean(0) for part in unit]).numpy()
    expected = PCA(2).fit_transform(stacked)
    for axis in range(2):
        middle = np.abs(found[:, axis] - 0.5) < 0.35  # away from the edge, where far points are moved to
        assert abs(np.corrcoef(found[middle, axis], expected[middle, axis])[0, 1]) == pytest.approx(1)


def test_command(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    assert printed("report", saved_run(), "--out", file) == {"file": str(file), "bytes": file.stat().st_size}
    assert file.read_text(encoding="utf-8").startswith("<!doctype html>")
    result = invoke("report", saved_baseline(), "--out", tmp_path / "b.html", "--quiet")
    assert (result.stdout, result.stderr) == ("", "")
    assert failure("report", tmp_path / "absent").startswith("there is no run '")
    assert "it is a folder" in failure("report", saved_run(), "--out", tmp_path)


def test_umap_is_given_directions_and_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class Stub:
        def __init__(self, **settings: Any) -> None:
            given.update(settings)

        def fit_transform(self, table: np.ndarray) -> np.ndarray:
            given["table"] = table
            return table[:, :2] * 40 - 7

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=Stub))
    users, items = torch.randn(9, 4), torch.randn(5, 4)
    found = place(Embeddings(users, items), "umap")
    unit = [torch.nn.functional.normalize(part, dim=1) for part in (users, items)]
    table = torch.cat([part - part.mean(0) for part in unit]).numpy()
    np.testing.assert_allclose(given.pop("table"), table, rtol=1e-5, atol=1e-6)
    assert given == {"n_neighbors": 13, "random_state": 0}
    assert found.shape == (14, 2)
    for axis in range(2):
        middle = np.abs(found[:, axis] - 0.5) < 0.49
        assert np.corrcoef(found[middle, axis], table[middle, axis])[0, 1] == pytest.approx(1)


@pytest.mark.slow
def test_umap_places_everybody(tmp_path: Path) -> None:
    """Near points are of one planted group, users and items alike, as umap-learn itself places them."""
    pytest.importorskip("umap", reason="umap-learn is not installed")
    text = write_page(saved_run(), tmp_path / "page.html", method="umap").read_text(encoding="utf-8")
    assert re.search(r'"method": ?"UMAP"', text)
    packed = re.search(r'"points": ?"([^"]+)"', text)
    assert packed is not None
    points = np.frombuffer(base64.b64decode(packed[1]), "<u2").reshape(-1, 2).astype(float)
    group = np.concatenate([np.arange(USERS) % GROUPS, np.arange(ITEMS) % GROUPS])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(len(points), np.inf))
    near = np.argsort(distances, axis=1)[:, :5]
    assert (group[near] == group[:, None]).mean() > 0.4  # 0.25 by chance


def test_umap_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match="install the extra 'report'"):
        write_page(saved_run(), tmp_path / "page.html", method="umap")


def test_runs_without_a_common_user(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    unsealed(saved_run(), folder)
    (folder / "users.json").write_text(json.dumps([f"other {n}" for n in range(USERS)]))
    with pytest.raises(DataError, match="no user in common"):
        page_data(saved_run(), compare=folder)
