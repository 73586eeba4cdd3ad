from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnseg.checkpoint import load_run
from gnnseg.errors import CheckpointError, ConfigError, DataError
from gnnseg.pipeline import fit
from gnnseg.recommend import Recommender
from gnnseg.scoring import Factors
from gnnseg.update import update
from gnnseg.update.links import read
from tests.cli.invoking import printed
from tests.runs import (
    FULL,
    ITEMS,
    LOCAL,
    PLAIN,
    USERS,
    contents,
    older_factors,
    on_data,
    saved_baseline,
    saved_run,
)

NEW = "who,what,stars\n1000,i01,4\n1000,i01,4\nnew,i00,5\nnew,i04,5\nnew,i08,5\nnew,x1,4\n"


def table(folder: Path, text: str = NEW) -> Path:
    (folder / "new.csv").write_text(text)
    return folder / "new.csv"


def test_users_and_links_are_folded_in(tmp_path: Path) -> None:
    before = load_run(saved_run())
    about = update(saved_run(), table(tmp_path), tmp_path / "run")
    run = load_run(tmp_path / "run")
    own = int(before.train[before.users.rows(["1000"])[0], before.items.rows(["i01"])[0]])
    assert (about["users_added"], about["items_added"], about["links_added"]) == (1, 0, 4 - own)
    assert about["items_left_out"] == {"count": 1, "reason": "without a text"}
    assert run.users.ids == (*before.users.ids, "new")
    assert run.items.ids == before.items.ids
    assert set(run.items.names(run.train[USERS].indices)) == {"i00", "i04", "i08"}
    assert run.memberships is not None
    assert run.memberships.shape == (USERS + 1, 3)
    assert len(Recommender(run).recommend(["new"], k=5)["new"]) == 5
    assert 0 <= about["changed_share_of_top"]["share"] < 0.5


def test_what_is_known_already_changes_nothing(tmp_path: Path) -> None:
    run = load_run(saved_run())
    item = run.items.ids[run.train[run.users.rows([1042])[0]].indices[0]]
    about = update(saved_run(), table(tmp_path, f"who,what\n1042,{item}\n"), tmp_path / "run")
    assert about["links_added"] == about["users_added"] == 0
    assert about["changed_share_of_top"]["share"] == 0
    assert about["segment_moves"] == {"users": 0, "share": 0.0}
    found, then = load_run(tmp_path / "run"), run.scorer.score(torch.arange(USERS))
    torch.testing.assert_close(found.scorer.score(torch.arange(USERS)), then)


def test_factors_are_solved_for_anew(tmp_path: Path) -> None:
    """By equation 4 of Hu et al. 2008, in full: new users and known ones with new links, nobody else."""
    folder = saved_baseline("ImplicitALS")
    update(folder, table(tmp_path), tmp_path / "run")
    before, after = load_run(folder), load_run(tmp_path / "run")
    assert isinstance(after.scorer, Factors)
    items = after.scorer.items.double().numpy()
    known = after.users.rows(["1000"])[0]
    for row in (known, USERS):
        c = 1 + 5.0 * after.train[row].toarray().ravel()
        expected = np.linalg.solve(
            (items.T * c) @ items + 10.0 * np.eye(items.shape[1]), (items.T * c) @ (c > 1)
        )
        np.testing.assert_allclose(after.scorer.users[row], expected, rtol=1e-3, atol=1e-4)
    others = np.delete(np.arange(USERS), known)
    assert torch.equal(after.scorer.users[others], before.scorer.users[others])  # type: ignore[union-attr, index]
    assert torch.equal(after.scorer.items, before.scorer.items)  # type: ignore[arg-type]
    named = Recommender(after).recommend(["new"], k=5)["new"]
    somebody = Recommender.load(folder).recommend_for(["i00", "i04", "i08"], k=5)
    assert [(r.item, r.score) for r in named] == [(r.item, pytest.approx(r.score)) for r in somebody]


@pytest.mark.parametrize("name", ["RP3beta", "EASE", "GFCF", "Popularity"])
def test_a_baseline_scores_a_new_user_as_somebody_new(name: str, tmp_path: Path) -> None:
    folder = saved_baseline(name)
    about = update(folder, table(tmp_path), tmp_path / "run")
    assert about["items_left_out"]["reason"] == "this run makes no vectors of texts"
    known = Recommender.load(tmp_path / "run").recommend(["new"], k=5)["new"]
    new = Recommender.load(folder).recommend_for(["i00", "i04", "i08"], k=5)
    if name in ("RP3beta", "EASE"):
        assert [r.item for r in known] == [r.item for r in new]
        assert [r.score for r in known] == pytest.approx([r.score for r in new], rel=1e-5)
    assert {r.item for r in known}.isdisjoint({"i00", "i04", "i08"})


def test_new_items_enter_by_their_text(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("id,title\nx1,space robot alien 3\n")
    about = update(saved_run(), table(tmp_path), tmp_path / "run", items=tmp_path / "items.csv")
    assert (about["items_added"], about["items_left_out"]) == (1, None)
    run = load_run(tmp_path / "run")
    assert run.items.ids[-1] == "x1"
    assert run.texts is not None
    assert run.texts[-1] == "space robot alien 3"
    model = run.model()
    assert model is not None
    inputs = torch.nn.functional.normalize(model.encoder.inputs()[USERS + 1 :].detach(), dim=1)  # type: ignore[operator]
    near = (inputs[:-1] @ inputs[-1]).numpy()
    group = np.array([int(name[1:]) % 4 for name in run.items.ids[:-1]])
    assert near[group == 0].mean() > near[group != 0].mean() + 0.2


def test_tables_for_a_run_whose_own_data_are_no_tables(tmp_path: Path) -> None:
    run = load_run(saved_run())
    films = run.config.dataset.model_copy(update={"source": {"name": "MovieLens", "release": "bundled"}})
    run = replace(run, config=run.config.model_copy(update={"dataset": films}))
    (tmp_path / "new.csv").write_text("user,item\n7,x1\n7,i00\n")
    (tmp_path / "items.csv").write_text("item,text\nx1,space robot\n")
    pairs, texts = read(run, tmp_path / "new.csv", tmp_path / "items.csv")
    assert pairs.rows() == [("7", "x1"), ("7", "i00")]
    assert texts == {"x1": "space robot", "i00": ""}


CONTENTS: list[dict[str, Any]] = [
    PLAIN,
    {**FULL, "head": "Experts", "term": "EASE", "term_weight": 0.5},
    {**FULL, "term": {"name": "ImplicitALS", "dim": 4}, "term_weight": 2.0},
    {**LOCAL, "local": "Lift"},
    {**LOCAL, "encoder": {"name": "SpectralFilter", "dim": 2}},
]


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("epochs", [0, 1])
def test_other_runs(content: dict[str, Any], epochs: int, tmp_path: Path) -> None:
    fit(on_data(content, name="run"), out=tmp_path / "run")
    about = update(tmp_path / "run", table(tmp_path), tmp_path / "next", epochs=epochs)
    assert (about["users_added"], about["epochs"]) == (1, epochs)
    best = Recommender.load(tmp_path / "next").recommend(["new", "1000"], k=ITEMS)
    assert all(np.isfinite(r.score) for found in best.values() for r in found)
    assert Recommender.load(tmp_path / "next").recommend_for(["i00"], k=3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("user,what\n1,i01\n", "unknown column 'who'"),
        ("who,what\n,i01\n", "row 1: 'who' must hold an id"),
        ("who,what\n", "has no rows"),
    ],
)
def test_bad_tables(text: str, problem: str, tmp_path: Path) -> None:
    path = table(tmp_path, text)
    before = contents(tmp_path)
    with pytest.raises(DataError, match=problem):
        update(saved_run(), path, tmp_path / "run")
    assert contents(tmp_path) == before


def test_refused(tmp_path: Path) -> None:
    path = table(tmp_path)
    older = older_factors(tmp_path)
    with pytest.raises(ConfigError, match="ImplicitALS has nothing for new users in this run"):
        update(older, path, tmp_path / "run")
    shutil.rmtree(older)
    with pytest.raises(ConfigError, match="'epochs' fine-tunes an encoder"):
        update(saved_baseline(), path, tmp_path / "run", epochs=1)
    with pytest.raises(CheckpointError, match="exists already"):
        update(saved_run(), path, saved_run())
    assert [p.name for p in tmp_path.iterdir()] == ["new.csv"]


def test_command(tmp_path: Path) -> None:
    about = printed("update", saved_run(), "--interactions", table(tmp_path), "--out", tmp_path / "run")
    assert about["users_added"] == 1
    assert (tmp_path / "run" / "update.json").is_file()
