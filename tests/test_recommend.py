from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnseg.checkpoint import load_run
from gnnseg.errors import CheckpointError, ConfigError, DataError
from gnnseg.pipeline import fit
from gnnseg.ranking import top_k
from gnnseg.recommend import Recommendation, Recommender, as_json
from gnnseg.scoring import Gated
from tests.runs import (
    GROUPS,
    ITEMS,
    LOCAL,
    PLAIN_SEGMENTS,
    USERS,
    WORDS,
    local_folder,
    local_run,
    older_factors,
    on_data,
    saved_baseline,
    saved_run,
    trained,
    unsealed,
)


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return Recommender.load(saved_run())


def seen_by(recommender: Recommender, user: str) -> set[str]:
    row = recommender.run.users.rows([user])[0]
    return set(recommender.run.items.names(recommender.run.seen[row].indices))


def test_outside_ids_in_and_out(recommender: Recommender) -> None:
    found = recommender.recommend(["1042", "1007"], k=5)
    assert list(found) == ["1042", "1007"]
    data = trained().data
    for user, best in found.items():
        row = data.dataset.users.rows([user])
        items, scores = top_k(trained().scorer, row, 5, data.seen)
        assert [r.item for r in best] == data.dataset.items.names(items[0])
        assert [r.score for r in best] == pytest.approx(scores[0].tolist(), rel=1e-5)
        assert [r.score for r in best] == sorted((r.score for r in best), reverse=True)
        for r in best:
            assert r.text == f"{WORDS[int(r.item[1:]) % GROUPS]} {int(r.item[1:]) // GROUPS}"


def test_numbers_and_text_are_the_same_id(recommender: Recommender) -> None:
    assert recommender.recommend([1042, np.int64(1007)]) == recommender.recommend(["1042", "1007"])
    assert recommender.segments_of(1042) == recommender.segments_of("1042")


def test_no_users(recommender: Recommender) -> None:
    assert recommender.recommend([]) == {}


def test_unknown_user(recommender: Recommender) -> None:
    with pytest.raises(DataError, match="unknown user '10422'; did you mean '1042'"):
        recommender.recommend(["1000", "10422"])
    with pytest.raises(DataError, match="unknown user"):
        recommender.segments_of("nobody")


def test_unknown_item(recommender: Recommender) -> None:
    with pytest.raises(DataError, match="unknown item 'i07x'; did you mean 'i07'"):
        recommender.recommend_for(["i07x"])


def test_no_items(recommender: Recommender) -> None:
    with pytest.raises(ConfigError, match=r"'items' must name at least one item .*\(got none\)"):
        recommender.recommend_for([])


@pytest.mark.parametrize("k", [0, -1, ITEMS + 1])
def test_k_out_of_range(recommender: Recommender, k: int) -> None:
    num_items = len(recommender.run.items)
    problem = rf"'k' must be between 1 and the number of items {num_items} \(got {k}\)"
    with pytest.raises(ConfigError, match=problem):
        recommender.recommend(["1000"], k=k)
    with pytest.raises(ConfigError, match=problem):
        recommender.recommend_for(["i00"], k=k)


@pytest.mark.parametrize("folder", [saved_run, saved_baseline])
def test_seen_items_are_never_recommended(folder: object) -> None:
    recommender = Recommender.load(folder())  # type: ignore[operator]
    num_items = len(recommender.run.items)
    users = list(recommender.run.users)
    assert len(users) == USERS
    for user, best in recommender.recommend(users, k=num_items).items():
        items = {r.item for r in best}
        seen = seen_by(recommender, user)
        assert items.isdisjoint(seen)
        assert len(items) == len(best) == num_items - len(seen)
        assert all(np.isfinite(r.score) for r in best)


def test_a_new_users_items_are_not_recommended(recommender: Recommender) -> None:
    best = recommender.recommend_for(["i00", "i04", "i08"], k=len(recommender.run.items))
    assert {r.item for r in best} == set(recommender.run.items) - {"i00", "i04", "i08"}


def test_a_new_user_resembles_a_known_one_with_the_same_items(recommender: Recommender) -> None:
    """Of the training items alone, since the known user's vector knows no others."""
    run = recommender.run
    shared, of_another = [], []
    for row, user in enumerate(run.users):
        history = run.items.names(run.train[row].indices)
        new = {r.item for r in recommender.recommend_for(history, k=10)}
        known = {r.item for r in recommender.recommend([user], k=10)[user]}
        another = run.users.ids[(row + 1) % USERS]  # in another group
        shared.append(len(new & known))
        of_another.append(len(new & {r.item for r in recommender.recommend([another], k=10)[another]}))
    assert np.mean(shared) > 6
    assert np.mean(shared) > 2 * np.mean(of_another)


def test_a_new_users_segments(recommender: Recommender) -> None:
    run = recommender.run
    same = []
    for row, user in enumerate(run.users):
        new = recommender.segments_for(run.items.names(run.train[row].indices))
        known = recommender.segments_of(user)
        assert sum(new.values()) == pytest.approx(1, abs=0.03)
        same.append(max(new, key=new.__getitem__) == max(known, key=known.__getitem__))
    assert np.mean(same) > 0.7


def test_order_and_repetition_of_items_do_not_matter(recommender: Recommender) -> None:
    assert recommender.recommend_for(["i00", "i05"]) == recommender.recommend_for(["i05", "i00", "i05"])


def test_segments_of(recommender: Recommender) -> None:
    memberships = recommender.run.memberships
    assert memberships is not None
    row = int(recommender.run.users.rows(["1042"])[0])
    found = recommender.segments_of("1042")
    assert set(found) <= {"0", "1", "2"}
    assert all(
        share == pytest.approx(float(memberships[row, int(s)]), abs=1e-4) for s, share in found.items()
    )
    assert sum(found.values()) == pytest.approx(1, abs=0.03)


def test_everybody(recommender: Recommender) -> None:
    users, items, scores = recommender.everybody(k=3)
    assert (users.shape, items.shape, scores.shape) == ((USERS,), (USERS, 3), (USERS, 3))
    some = recommender.recommend(["1042"], k=3)["1042"]
    row = list(recommender.run.users).index("1042")
    assert recommender.run.items.names(items[row]) == [r.item for r in some]
    assert scores[row].tolist() == pytest.approx([r.score for r in some], rel=1e-5)


def test_a_baseline_that_knows_users_by_history_knows_new_ones() -> None:
    recommender = Recommender.load(saved_baseline())
    assert recommender.segments_of("1000") == {}
    row = int(recommender.run.users.rows(["1000"])[0])
    liked = [recommender.run.items.ids[i] for i in recommender.run.train[row].indices]
    found = recommender.recommend_for(liked, k=ITEMS)
    known = {r.item: r.score for r in recommender.recommend(["1000"], k=ITEMS)["1000"]}
    assert found[0].score > 0
    assert known.keys() <= {r.item for r in found}  # validation's items are not masked for somebody new
    assert all(known[r.item] == pytest.approx(r.score) for r in found if r.item in known)


def test_factors_know_somebody_new() -> None:
    """The vector is that of a ridge regression on all items, those of the history weighed more (numpy)."""
    recommender = Recommender.load(saved_baseline("ImplicitALS"))
    assert recommender.recommend(["1000"], k=3)["1000"][0].score > 0
    items = recommender.run.scorer.items.double().numpy()  # type: ignore[union-attr, operator]
    own = np.zeros(ITEMS)
    own[recommender.run.items.rows(["i00", "i04"])] = 1
    root = np.sqrt(1 + 5.0 * own)
    rows = np.vstack([root[:, None] * items, np.sqrt(10.0) * np.eye(items.shape[1])])
    vector = np.linalg.lstsq(rows, np.concatenate([root * own, np.zeros(items.shape[1])]), rcond=None)[0]
    expected = dict(zip(recommender.run.items, items @ vector, strict=True))
    found = recommender.recommend_for(["i00", "i04"], k=5)
    assert [r.score for r in found] == pytest.approx([expected[r.item] for r in found], rel=1e-3)
    best = sorted(set(expected) - {"i00", "i04"}, key=lambda name: -expected[name])[:5]
    assert {r.item for r in found} == set(best)


def test_factors_of_an_older_version_know_nobody_new(tmp_path: Path) -> None:
    recommender = Recommender.load(older_factors(tmp_path))
    assert len(recommender.recommend(["1000"], k=3)["1000"]) == 3
    with pytest.raises(ConfigError, match="ImplicitALS has no vectors for new users in this run; train it"):
        recommender.recommend_for(["i00"])


def test_a_mixture_scores_new_users_as_it_scores_known_ones(tmp_path: Path) -> None:
    """The encoder's vector is that of the formula, the item-item term's scores those of the history."""
    content = {
        "encoder": {"name": "SpectralFilter", "dim": 8},
        "term": "EASE",
        "term_weight": 0.5,
    }
    fit(on_data({**content, "train": {"epochs": 0}}, name="mixture"), out=tmp_path / "run")
    recommender = Recommender.load(tmp_path / "run")
    row = int(recommender.run.users.rows(["1000"])[0])
    liked = [recommender.run.items.ids[i] for i in recommender.run.train[row].indices]
    known = {r.item: r.score for r in recommender.recommend(["1000"], k=ITEMS)["1000"]}
    found = {r.item: r.score for r in recommender.recommend_for(liked, k=ITEMS)}
    assert known.keys() <= found.keys()
    assert [found[item] for item in known] == pytest.approx(list(known.values()), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    "head",
    ["GroupMLP", "Experts", "SubgraphPropagation", {"name": "LoRA", "on": "both"}],
    ids=str,
)
def test_somebody_new_with_a_known_history_gets_that_users_segmented_scores(
    head: object, tmp_path: Path
) -> None:
    content = {**PLAIN_SEGMENTS, "head": head, "fine_tune": {**PLAIN_SEGMENTS["fine_tune"], "epochs": 8}}
    result = fit(on_data(content, name="new", loss="BPR"), out=tmp_path / "run")
    assert result.decision is not None
    assert result.decision["served"] == "segmented"  # else this would say nothing about the head
    recommender = Recommender.load(tmp_path / "run")
    for user in ("1000", "1033"):
        row = int(recommender.run.users.rows([user])[0])
        liked = [recommender.run.items.ids[i] for i in recommender.run.train[row].indices]
        known = {r.item: r.score for r in recommender.recommend([user], k=ITEMS)[user]}
        found = {r.item: r.score for r in recommender.recommend_for(liked, k=ITEMS)}
        assert [found[item] for item in known] == pytest.approx(list(known.values()), rel=1e-3, abs=1e-4)
        assert recommender.segments_for(liked) == recommender.segments_of(user)


def known_and_new(recommender: Recommender, user: str) -> tuple[dict[str, float], dict[str, float]]:
    """Scores of a known user, and of somebody new with the same training items."""
    row = int(recommender.run.users.rows([user])[0])
    liked = [recommender.run.items.ids[i] for i in recommender.run.train[row].indices]
    known = {r.item: r.score for r in recommender.recommend([user], k=ITEMS)[user]}
    return known, {r.item: r.score for r in recommender.recommend_for(liked, k=ITEMS)}


def test_somebody_new_gets_the_local_model_through_the_gate_of_a_known_user_alike() -> None:
    local_run()
    recommender, rows = Recommender.load(local_folder()), torch.arange(USERS)
    scorer = recommender.run.scorer
    assert isinstance(scorer, Gated)
    assert scorer.gates.min() > 0
    assert not torch.allclose(scorer.score(rows), scorer.whole.score(rows))
    for user in ("1000", "1033"):
        known, found = known_and_new(recommender, user)
        assert [found[item] for item in known] == pytest.approx(list(known.values()), rel=1e-3, abs=1e-4)
        row = int(recommender.run.users.rows([user])[0])
        liked = [recommender.run.items.ids[i] for i in recommender.run.train[row].indices]
        assert recommender.segments_for(liked) == pytest.approx(recommender.segments_of(user), abs=1e-3)


@pytest.mark.parametrize(
    "changes",
    [
        {"term": "ItemKNN", "term_weight": 0.3},
        {"segmenter": {"name": "Hard", "of": {"name": "KMeans", "num_segments": 3}}},
        {"segmenter": {"name": "Views", "views": ["KMeans", {"name": "KMeans", "num_segments": 2}]}},
    ],
    ids=["a term", "hard segments", "views"],
)
def test_somebody_new_where_parts_are_nested(changes: dict[str, Any], tmp_path: Path) -> None:
    weak = {"name": "SpectralFilter", "dim": 1}
    result = fit(on_data({**LOCAL, "encoder": weak, **changes}, name="new"), out=tmp_path / "run")
    assert isinstance(result.scorer, Gated)
    recommender = Recommender.load(tmp_path / "run")
    for user in ("1000", "1033"):
        known, found = known_and_new(recommender, user)
        assert [found[item] for item in known] == pytest.approx(list(known.values()), rel=1e-3, abs=1e-4)


def test_a_moved_run_recommends_the_same_in_a_new_process(tmp_path: Path) -> None:
    unsealed(saved_run(), tmp_path / "elsewhere")
    code = (
        "import sys; from gnnseg.recommend import Recommender; r = Recommender.load(sys.argv[1]);"
        "u, i, s = r.everybody(5); sys.stdout.write(i.tobytes().hex() + s.tobytes().hex());"
        "sys.stdout.write(repr([x.score.hex() for x in r.recommend_for(['i00', 'i04'], 5)]))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "elsewhere")], capture_output=True, text=True, check=True
    )
    here = Recommender.load(saved_run())
    _, items, scores = here.everybody(5)
    new = repr([r.score.hex() for r in here.recommend_for(["i00", "i04"], 5)])
    assert there.stdout == items.tobytes().hex() + scores.tobytes().hex() + new


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no run"):
        Recommender.load(tmp_path / "absent")


def test_texts_are_optional(tmp_path: Path) -> None:
    saved = load_run(saved_run())
    bare = Recommender(
        type(saved)(**{**{f: getattr(saved, f) for f in saved.__dataclass_fields__}, "texts": None})
    )
    assert {r.text for r in bare.recommend(["1000"])["1000"]} == {""}


def test_as_json() -> None:
    assert as_json("7", {"0": 0.8, "2": 0.2}, [Recommendation("a", 0.5, "A"), Recommendation("b", 0.25)]) == {
        "user": "7",
        "segment": {"0": 0.8, "2": 0.2},
        "items": [{"item": "a", "score": 0.5, "text": "A"}, {"item": "b", "score": 0.25, "text": ""}],
    }


def test_one_text_is_no_list_of_ids(recommender: Recommender) -> None:
    with pytest.raises(ConfigError, match=r"must be a list of ids, such as \['1042'\]"):
        recommender.recommend("1042")
    with pytest.raises(ConfigError, match="'items' must"):
        recommender.recommend_for("i07")
