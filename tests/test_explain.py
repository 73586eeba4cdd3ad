from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gnnseg.errors import DataError
from gnnseg.explain import explain
from gnnseg.pipeline import fit
from gnnseg.recommend import Recommender
from gnnseg.scoring import Gated
from tests.cli.invoking import misuse, output, printed
from tests.runs import FULL, LOCAL, PLAIN, PLAIN_SEGMENTS, local_folder, local_run, on_data, saved_run

SPECTRAL: dict[str, Any] = {"encoder": {"name": "SpectralFilter", "dim": 6}, "train": {"epochs": 0}}

RUNS: dict[str, dict[str, Any]] = {
    "ItemKNN": {"baseline": "ItemKNN"},
    "EASE": {"baseline": "EASE"},
    "Popularity": {"baseline": "Popularity"},
    "ALS": {"baseline": {"name": "ImplicitALS", "dim": 8}},
    "GFCF": {"baseline": {"name": "GFCF", "num_vectors": 8}},
    "ChebyCF": {"baseline": {"name": "ChebyCF", "num_vectors": 8}},
    "LightGCN": PLAIN,
    "MF": {**PLAIN, "encoder": {"name": "MatrixFactorization", "dim": 8}},
    "GraphSAGE": {**PLAIN, "encoder": {"name": "GraphSAGE", "dim": 8}},
    "spectral": SPECTRAL,
    "mixture": {**SPECTRAL, "term": "EASE", "term_weight": 0.5},
    "mixture with ALS": {**FULL, "term": {"name": "ImplicitALS", "dim": 8}, "term_weight": 0.5},
    "plain segments": PLAIN_SEGMENTS,
    "experts": {**PLAIN_SEGMENTS, "head": "Experts", "loss": "BPR"},
    "gated lift": {**LOCAL, "local": "Lift", "term": "EASE", "term_weight": 0.5},
    "gated items": LOCAL,
}

HISTORIES = ["ItemKNN", "EASE", "GFCF", "ChebyCF", "spectral", "mixture"]
"""Whose scores are nothing but what the user's items add."""


@pytest.fixture(scope="module")
def recommenders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recommender]:
    made: dict[str, Recommender] = {}
    for name, content in RUNS.items():
        folder = tmp_path_factory.mktemp("runs") / "run"
        fit(on_data(content, name="run"), out=folder)
        made[name] = Recommender.load(folder)
    return made


def check(recommender: Recommender, user: str, best: Any) -> Any:
    found = explain(recommender, best.item, user=user)
    assert found.score == pytest.approx(best.score, rel=1e-6)
    assert sum(c.value for c in found.contributions) == pytest.approx(best.score, rel=1e-5)
    return found


@pytest.mark.parametrize("name", RUNS)
def test_contributions_add_up_to_the_score(name: str, recommenders: dict[str, Recommender]) -> None:
    recommender = recommenders[name]
    for user, best in recommender.recommend(["1000", "1033"], k=3).items():
        for one in best:
            found = check(recommender, user, one)
            row = recommender.run.users.rows([user])[0]
            own = set(recommender.run.items.names(recommender.run.train[row].indices))
            assert {c.name for c in found.contributions if c.kind == "item"} <= own
            if name in HISTORIES:
                assert {c.kind for c in found.contributions} == {"item"}


def test_a_local_model_is_its_segments() -> None:
    local_run()
    recommender = Recommender.load(local_folder())
    scorer = recommender.run.scorer
    assert isinstance(scorer, Gated)
    row = recommender.run.users.rows(["1000"])
    best = recommender.recommend(["1000"], k=1)["1000"][0]
    found = check(recommender, "1000", best)
    target = recommender.run.items.rows([best.item])[0]
    rows = torch.from_numpy(row)
    local = float((scorer.score(rows) - scorer.whole.score(rows))[0, target])
    assert abs(local) > 1e-3
    assert sum(c.value for c in found.contributions if c.kind == "segment") == pytest.approx(local, rel=1e-4)


def test_propagation_is_divided_as_a_dense_matrix_divides_it(recommenders: dict[str, Recommender]) -> None:
    recommender = recommenders["LightGCN"]
    assert recommender.model is not None
    model, graph = recommender.model
    dense = graph.adjacency.to_dense().double().numpy()
    weights = model.encoder.weights
    power = sum(w * np.linalg.matrix_power(dense, k) for k, w in enumerate(weights))
    inputs = model.encoder.inputs().detach().double().numpy()  # type: ignore[operator]
    best = recommender.recommend(["1000"], k=1)["1000"][0]
    row, target = recommender.run.users.rows(["1000"])[0], recommender.run.items.rows([best.item])[0]
    item = power[graph.num_users + target] @ inputs
    found = explain(recommender, best.item, user="1000")
    values = {(c.kind, c.name): c.value for c in found.contributions}
    assert values["user", "the user's own vector"] == pytest.approx(
        power[row, row] * (inputs[row] @ item), rel=1e-4
    )
    for at in recommender.run.train[row].indices:
        node = graph.num_users + at
        expected = power[row, node] * (inputs[node] @ item)
        assert values["item", recommender.run.items.ids[at]] == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_paths_are_products_of_normalised_links() -> None:
    recommender = Recommender.load(saved_run())
    train = recommender.run.train.toarray().astype(float)
    links = train / np.sqrt(np.maximum(train.sum(1), 1))[:, None] / np.sqrt(np.maximum(train.sum(0), 1))
    best = recommender.recommend(["1000"], k=1)["1000"][0]
    row, target = recommender.run.users.rows(["1000"])[0], recommender.run.items.rows([best.item])[0]
    found = explain(recommender, best.item, user="1000")
    assert found.paths
    for path in found.paths:
        at = recommender.run.items.rows([path["item"]])[0]
        assert path["strength"] == pytest.approx(links[row, at] * (links[:, at] @ links[:, target]), rel=1e-5)
        assert path["users"] == int((train[:, at] * train[:, target]).sum())


@pytest.mark.parametrize("name", ["EASE", "ALS", "mixture", "gated items", "LightGCN"])
def test_somebody_new(name: str, recommenders: dict[str, Recommender]) -> None:
    recommender = recommenders[name]
    best = recommender.recommend_for(["i00", "i04", "i08"], k=1)[0]
    found = explain(recommender, best.item, items=["i00", "i04", "i08"])
    assert found.score == pytest.approx(best.score, rel=1e-5)
    assert sum(c.value for c in found.contributions) == pytest.approx(best.score, rel=1e-5)
    assert found.user == ""
    if name in ("EASE", "ALS"):
        assert {c.kind for c in found.contributions} == {"item"}


def test_factors_are_divided_among_items(recommenders: dict[str, Recommender]) -> None:
    """Equation 7 of Hu et al. 2008 in full, item by item; the rest is what the fitted vector has beyond."""
    recommender = recommenders["ALS"]
    scorer = recommender.run.scorer
    items = scorer.items.double().numpy()  # type: ignore[union-attr, operator]
    best = recommender.recommend(["1000"], k=1)["1000"][0]
    row, target = recommender.run.users.rows(["1000"])[0], recommender.run.items.rows([best.item])[0]
    own = recommender.run.train[row].toarray().ravel()
    weights = np.linalg.inv(items.T @ np.diag(1 + 5.0 * own) @ items + 10.0 * np.eye(items.shape[1]))
    found = check(recommender, "1000", best)
    values = {c.name: c.value for c in found.contributions if c.kind == "item"}
    for at in np.flatnonzero(own):
        expected = 6.0 * items[target] @ weights @ items[at]
        assert values[recommender.run.items.ids[at]] == pytest.approx(expected, rel=1e-4)
    (rest,) = [c.value for c in found.contributions if c.kind != "item"]
    assert abs(rest) < 0.2 * best.score
    lines = found.words()
    assert lines[1].split("  ")[1].startswith("having “")
    assert len({line.index("  ") for line in lines[1:6]}) == 1


def test_unknown(recommenders: dict[str, Recommender]) -> None:
    with pytest.raises(DataError, match="unknown item 'i07x'; did you mean 'i07'"):
        explain(recommenders["EASE"], "i07x", user="1000")
    with pytest.raises(DataError, match="unknown user"):
        explain(recommenders["EASE"], "i07", user="nobody")


def test_command() -> None:
    found = printed("explain", saved_run(), "--user", "1042", "--item", "i07")
    assert sum(c["value"] for c in found["contributions"]) == pytest.approx(found["score"], rel=1e-4)
    text = output("explain", saved_run(), "--items", "i00,i04", "--item", "i08")
    assert "(i08) scores" in text
    assert misuse("explain", saved_run(), "--item", "i07")
