"""New items in a run: trained, placed, saved, recommended and updated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnseg.checkpoint import load_run
from gnnseg.config import load_dataset_config
from gnnseg.errors import ConfigError
from gnnseg.explain import explain
from gnnseg.pipeline import Run, evaluate_run, fit
from gnnseg.recommend import Recommender
from gnnseg.scoring import Continued
from gnnseg.update import update
from tests.runs import FULL, ITEMS, USERS, dataset, on_data

TEXT: dict[str, Any] = {"text": {"name": "TfidfEncoder", "num_features": 6}}
SPECTRAL: dict[str, Any] = {"encoder": {"name": "SpectralFilter", "dim": 6}, "train": {"epochs": 0}, **TEXT}
KINDS: dict[str, dict[str, Any]] = {
    "encoder without text": {**SPECTRAL, "new_items": "TextRidge"},
    "mixture": {**SPECTRAL, "term": "EASE", "new_items": "TextRidge"},
    "baseline": {"baseline": "EASE", **TEXT, "new_items": "ContentKNN"},
    "segments": {**FULL, "new_items": "TextRidge"},
}


def cold(content: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """On the small world, with whole items kept apart."""
    split = {"name": "ColdItems", "share": 0.2, "valid": 0.15}
    data = load_dataset_config(dataset()).model_dump()
    return {**on_data(content, name="run"), "dataset": {**data, "split": split}, **changes}


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    folder = tmp_path_factory.mktemp("cold") / "run"
    return fit(cold(KINDS[request.param]), out=folder), folder


def test_texts_find_what_ids_cannot(made: tuple[Run, Path]) -> None:
    run = made[0]
    assert run.cold_items is not None
    assert set(run.cold_items) == {"cold", "cold_in_all", "warm"}
    without = fit(cold({"baseline": "EASE"})).cold_items
    assert without is not None
    for kind in ("cold", "cold_in_all"):
        found, chance = (one[kind]["recall@10"]["mean"] for one in (run.cold_items, without))
        assert found > chance + 0.15


def test_the_place_is_the_best_that_was_tried(made: tuple[Run, Path]) -> None:
    about = made[0].new_items
    assert about is not None
    best = max(about["tried"], key=lambda one: one["value"])
    assert (about["shift"], about["scale"]) == (best["shift"], best["scale"])
    assert made[0].metrics["new_items"]["items"] == len(made[0].scorer.cold)  # type: ignore[arg-type]


def test_a_saved_run_is_the_same(made: tuple[Run, Path]) -> None:
    run, folder = made
    saved = load_run(folder)
    users = torch.arange(USERS)
    assert torch.equal(saved.scorer.score(users), run.scorer.score(users))
    assert evaluate_run(saved, "test")["cold_items"] == run.cold_items


def test_somebody_new_is_recommended_new_items(made: tuple[Run, Path]) -> None:
    run = load_run(made[1])
    assert isinstance(run.scorer, Continued)
    new = set(run.items.names(run.scorer.cold.tolist()))
    history = run.items.names(run.train[0].indices)
    found = Recommender(run).recommend_for(history, k=ITEMS)
    places = [place for place, one in enumerate(found) if one.item in new]
    assert len(places) == len(new)
    assert min(places) < 10
    known = [one.item for one in found if one.item in new]
    group = [int(name[1:]) % 4 for name in known]
    assert np.mean(np.array(group[: len(group) // 4]) == 0) > 0.5  # the first user's own group


def test_explanations_of_new_and_known_items_add_up(made: tuple[Run, Path]) -> None:
    recommender = Recommender.load(made[1])
    scorer = recommender.run.scorer
    assert isinstance(scorer, Continued)
    user = recommender.run.users.ids[0]
    for row in (int(scorer.cold[0]), int(scorer.warm[0])):
        found = explain(recommender, recommender.run.items.ids[row], user=user)
        assert found.score == pytest.approx(float(scorer.score(torch.tensor([0]))[0, row]), rel=1e-6)
        assert sum(c.value for c in found.contributions) == pytest.approx(found.score, rel=1e-4, abs=1e-6)


def test_an_update_brings_items_in_by_their_texts(made: tuple[Run, Path], tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("who,what,stars\nnew,i00,5\nnew,i04,5\nnew,i08,5\n1000,x1,4\n")
    (tmp_path / "items.csv").write_text("id,title\nx1,space robot alien 3\n")
    about = update(made[1], tmp_path / "new.csv", tmp_path / "run", items=tmp_path / "items.csv")
    assert about["items_added"] == 1
    before, run = load_run(made[1]), load_run(tmp_path / "run")
    assert isinstance(before.scorer, Continued)
    assert isinstance(run.scorer, Continued)
    assert run.scorer.cold.tolist() == [*before.scorer.cold.tolist(), ITEMS]
    assert run.scorer.place == before.scorer.place
    scores = run.scorer.score(torch.arange(USERS))[:, ITEMS]
    fans = torch.arange(USERS) % 4 == 0
    assert scores[fans].mean() > scores[~fans].mean()


def test_without_cold_validation_they_stand_where_the_others_do() -> None:
    content = cold(KINDS["mixture"])
    content["dataset"]["split"]["valid"] = 0.0
    about = fit(content).new_items
    assert about is not None
    assert (about["shift"], about["scale"], about["tried"]) == (0.0, 1.0, [])


def test_no_texts() -> None:
    content = cold(KINDS["mixture"])
    del content["dataset"]["source"]["text"]
    with pytest.raises(ConfigError, match="no item texts"):
        fit(content)
