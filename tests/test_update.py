from __future__ import annotations

import json
import math
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnseg.checkpoint import load_run
from gnnseg.errors import CheckpointError, ConfigError, DataError
from gnnseg.manifest import check_parts
from gnnseg.pipeline import fit
from gnnseg.recommend import Recommender
from gnnseg.report.page import page_data
from gnnseg.scoring import Factors
from gnnseg.update import update
from gnnseg.update.links import read
from tests.cli.invoking import failure, output, printed
from tests.runs import (
    DATA,
    FULL,
    GROUPS,
    ITEMS,
    LOCAL,
    PLAIN,
    USERS,
    WORDS,
    contents,
    lines_of,
    older_factors,
    on_data,
    saved_baseline,
    saved_run,
    write_data,
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
    pairs, texts, tags = read(run, tmp_path / "new.csv", tmp_path / "items.csv")
    assert pairs.rows() == [("7", "x1"), ("7", "i00")]
    assert texts == {"x1": "space robot", "i00": ""}
    assert tags == {}


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


def many(folder: Path, users: int, each: int = 4) -> Path:
    """Interactions that the full system has not seen, ``each`` of the first users and one of somebody new."""
    run = load_run(saved_run())
    rows = []
    for user in range(users):
        unseen = np.setdiff1d(np.arange(ITEMS), run.seen[user].indices)
        rows += [f"{run.users.ids[user]},{run.items.ids[item]},4" for item in unseen[user::7][:each]]
    return table(folder, "\n".join(["who,what,stars", *rows, "new,i00,5", ""]))


def naive(lists: dict[str, list[str]], wanted: dict[str, set[str]], k: int) -> dict[str, float]:
    """Recall and ndcg from their definitions."""
    recall, ndcg = [], []
    for user, items in wanted.items():
        hits = [item in items for item in lists[user][:k]]
        recall.append(sum(hits) / len(items))
        gain = sum(hit / math.log2(rank + 2) for rank, hit in enumerate(hits))
        ndcg.append(gain / sum(1 / math.log2(rank + 2) for rank in range(min(k, len(items)))))
    return {f"recall@{k}": sum(recall) / len(recall), f"ndcg@{k}": sum(ndcg) / len(ndcg)}


def test_the_run_before_is_judged_on_what_came_next(tmp_path: Path) -> None:
    before = Recommender.load(saved_run())
    path = many(tmp_path, 24)
    about = update(saved_run(), path, tmp_path / "run")
    wanted: dict[str, set[str]] = defaultdict(set)
    for line in path.read_text().splitlines()[1:-1]:
        user, item, _ = line.split(",")
        wanted[user].add(item)
    lists = {u: [r.item for r in found] for u, found in before.recommend(list(wanted), ITEMS).items()}
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name, value in naive(lists, wanted, 10).items():
        assert metrics["test"][name] == pytest.approx(value)
        assert metrics["test_intervals"][name]["mean"] == pytest.approx(value)
    assert {key: about["judged"][key] for key in ("users", "interactions", "of_new_users", "known")} == {
        "users": 24,
        "interactions": 96,
        "of_new_users": 1,
        "known": 0,
    }
    then = json.loads((saved_run() / "metrics.json").read_text())
    assert metrics["before"]["test"] == then["test"]
    assert metrics["decision"] == then["decision"]
    assert metrics["skipped_users"] == USERS - 24
    assert sum(s["users"] or 0 for s in metrics["segments"]) <= 24


def test_the_new_run_is_a_whole_one(tmp_path: Path) -> None:
    update(saved_run(), many(tmp_path, 24), tmp_path / "run", epochs=1)
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {path.name for path in saved_run().iterdir()} | {"update.json"}
    check_parts(tmp_path / "run")
    found = json.loads((tmp_path / "run" / "segments.json").read_text())
    assert [s["segment"] for s in found["segments"]] == [0, 1, 2]
    assert sum(s["users"] or 0 for s in found["segments"]) + found["outside"] <= USERS + 1
    assert found["quality"]["stability"] is None
    assert found["quality"]["modularity"] is not None
    history = lines_of(tmp_path / "run" / "history.jsonl")
    assert len(history) == len(lines_of(saved_run() / "history.jsonl")) + 1
    card = (tmp_path / "run" / "README.md").read_text()
    assert "An update of full" in card
    assert "96 interactions of 24 users" in card
    assert "train FOLDER/config.yaml" not in card
    fair = json.loads((tmp_path / "run" / "fairness.json").read_text())
    assert fair["users"] == 24
    again = update(tmp_path / "run", table(tmp_path), tmp_path / "next")
    assert again["judged"]["run"] == "run"


def test_of_a_few_users_nothing_is_told(tmp_path: Path) -> None:
    about = update(saved_run(), many(tmp_path, 9), tmp_path / "run")
    assert (about["judged"]["users"], about["judged"]["metrics"]) == (None, {})
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (metrics["test"], metrics["segments"], metrics["measured"]["users"]) == ({}, [], None)
    assert not (tmp_path / "run" / "fairness.json").exists()
    card = (tmp_path / "run" / "README.md").read_text()
    assert "Fewer than 10 known users came back" in card
    assert "full reached on its own test:" in card


def test_pairs_that_validation_knew_are_not_foreseen(tmp_path: Path) -> None:
    run = load_run(saved_run())
    users, items = (run.seen - run.train).nonzero()
    rows = [f"{run.users.ids[u]},{run.items.ids[i]},4" for u, i in zip(users, items, strict=True)]
    about = update(saved_run(), table(tmp_path, "\n".join(["who,what,stars", *rows, ""])), tmp_path / "run")
    assert (about["judged"]["interactions"], about["judged"]["known"]) == (0, len(rows))
    assert about["links_added"] == len(rows)


def test_an_update_is_shown_and_refused_by_name(tmp_path: Path) -> None:
    update(saved_run(), many(tmp_path, 24), tmp_path / "run")
    notes = {note["title"]: note["text"] for note in page_data(tmp_path / "run")["notes"]}
    assert "96 interactions that came next" in notes["An updated run"]
    assert "The run is an update" in notes["Some parts are missing"]
    assert printed("segments", tmp_path / "run")["num_segments"] == 3
    for command in ("evaluate", "audit"):
        assert "is an update, and no config names the data" in failure(command, tmp_path / "run")


def test_tags_of_new_items(tmp_path: Path) -> None:
    data = write_data(tmp_path, source={**DATA["source"], "tags": "genre"})
    rows = [f"i{item:02},{WORDS[item % GROUPS]},g{item % GROUPS}" for item in range(ITEMS)]
    (tmp_path / "items.csv").write_text("\n".join(["id,title,genre", *rows, ""]))
    fit({**on_data(FULL), "name": "run", "dataset": str(data)}, out=tmp_path / "run")
    (tmp_path / "more.csv").write_text("id,title,genre\nx1,space robot,g0|g9\n")
    update(tmp_path / "run", table(tmp_path), tmp_path / "next", items=tmp_path / "more.csv")
    tags = load_run(tmp_path / "next").tags
    assert tags is not None
    assert (tags[5], tags[-1]) == (("g1",), ("g0", "g9"))


def test_command(tmp_path: Path) -> None:
    about = printed("update", saved_run(), "--interactions", table(tmp_path), "--out", tmp_path / "run")
    assert about["users_added"] == 1
    assert (tmp_path / "run" / "update.json").is_file()


def test_lines(tmp_path: Path) -> None:
    text = output("update", saved_run(), "--interactions", table(tmp_path), "--out", tmp_path / "few")
    assert text.startswith("1 user, 0 items, ")
    assert "1 new item left out: without a text" in text
    assert "Fewer than 10 known users came back" in text
    text = output("update", saved_run(), "--interactions", many(tmp_path, 24), "--out", tmp_path / "many")
    assert "full foresaw 96 new interactions of 24 known users with recall@10 0." in text
    assert text.splitlines()[-1] == f"Next: gnnseg report {tmp_path / 'many'}"
