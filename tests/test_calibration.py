from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import rel_entr

from gnnseg.calibration import calibrated, tag_shares, wanted_shares
from gnnseg.checkpoint import load_run
from gnnseg.errors import CheckpointError, ConfigError
from gnnseg.fairness import miscalibration
from gnnseg.recommend import Recommender
from gnnseg.reranking import Reranker
from gnnseg.rules import Rules
from gnnseg.segments.traits import tag_matrix
from tests.cli.invoking import failure, printed
from tests.runs import GROUPS, ITEMS, saved_run, tagged_run, unsealed


def slow(scores: np.ndarray, shares: np.ndarray, wanted: np.ndarray, k: int, weight: float) -> list[int]:
    """Steck's greedy list of one user, the divergence by scipy."""
    unit = (scores - scores.min()) / (scores.max() - scores.min())
    chosen: list[int] = []
    for _ in range(k):
        values = {}
        for candidate in sorted(set(range(len(scores))) - set(chosen)):
            rows = [*chosen, candidate]
            mass = shares[rows].sum(0)
            q = mass / max(mass.sum(), 1e-12)
            divergence = float(rel_entr(wanted, 0.99 * q + 0.01 * wanted).sum())
            values[candidate] = (1 - weight) * unit[rows].sum() - weight * divergence
        chosen.append(max(values, key=lambda c: values[c]))
    return chosen


@pytest.mark.parametrize("weight", [0.1, 0.5, 0.95])
def test_greedy_choice_is_stecks(weight: float) -> None:
    rng = np.random.default_rng(1)
    scores = -np.sort(-rng.normal(size=(6, 12)), axis=1)
    shares = rng.dirichlet(np.full(4, 0.3), size=(6, 12))
    shares[:, 5] = 0  # an item without tags
    wanted = rng.dirichlet(np.ones(4), size=6)
    found = calibrated(*(torch.from_numpy(x) for x in (scores, shares, wanted)), 7, weight)
    assert found.tolist() == [slow(*own, 7, weight) for own in zip(scores, shares, wanted, strict=True)]


def test_without_a_history_scores_decide_and_missing_candidates_come_last() -> None:
    scores = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, -torch.inf], [-torch.inf] * 3])
    shares = torch.eye(3).expand(3, 3, 3)
    wanted = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    found = calibrated(scores, shares, wanted, 3, 0.9)
    assert found[0].tolist() == [0, 1, 2]
    assert found[1].tolist() == [0, 1, 2]
    assert sorted(found[2].tolist()) == [0, 1, 2]


def test_shares() -> None:
    tags = sp.csr_matrix(np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1]]))
    shares = tag_shares(tags)
    np.testing.assert_allclose(shares.toarray(), [[0.5, 0.5, 0, 0], [0, 0, 0, 0], [0, 1 / 3, 1 / 3, 1 / 3]])
    history = sp.csr_matrix(np.array([[1.0, 1, 1], [0, 1, 0]]))
    np.testing.assert_allclose(wanted_shares(history, shares), [[1 / 4, 5 / 12, 1 / 6, 1 / 6], [0, 0, 0, 0]])


def test_lists_come_nearer_to_histories() -> None:
    run = load_run(tagged_run())
    assert run.tags is not None
    assert run.tags[5] == ("g1", "h2")
    recommender, named = Recommender(run), tag_matrix(run.tags)
    assert named is not None
    own = {r.item: r.score for r in recommender.recommend(["1042"], ITEMS)["1042"]}
    means = []
    for weight in (0.0, 0.5, 0.95):
        rows, items, _ = recommender.everybody(8, rules=Rules(calibration=weight))
        means.append(np.nanmean(miscalibration(items, run.train[rows], named[1])))
        assert all(len(set(row)) == 8 for row in items.tolist())
        assert not any(run.seen[row, item] for row, item in zip(rows.repeat(8), items.ravel(), strict=True))
    assert means[0] > means[1] > means[2]
    for r in recommender.recommend(["1042"], 8, Rules(calibration=0.9))["1042"]:
        assert r.score == own[r.item]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Recommender(load_run(tagged_run())).everybody(5, rules=Rules(calibration=0.7))
    monkeypatch.setattr("gnnseg.reranking.BLOCK_VALUES", 3 * ITEMS * (GROUPS + 3))
    some = Recommender(load_run(tagged_run())).everybody(5, rules=Rules(calibration=0.7))
    for a, b in zip(whole, some, strict=True):
        np.testing.assert_array_equal(a, b)


def test_somebody_new_is_served_the_tags_of_the_items_named() -> None:
    recommender = Recommender(load_run(tagged_run()))
    liked = ["i00", "i12", "i24"]  # all of them g0 and h0
    near = recommender.recommend_for(liked, 5, Rules(calibration=0.95, pool=ITEMS))
    rows = recommender.run.items.rows([r.item for r in near])
    assert recommender.run.tags is not None
    assert all({"g0", "h0"} & set(recommender.run.tags[row]) for row in rows)
    (entry,) = printed("recommend", tagged_run(), "--items", ",".join(liked), "--calibration", 0.95, "-k", 5)
    again = recommender.recommend_for(liked, 5, Rules(calibration=0.95))
    assert [i["item"] for i in entry["items"]] == [r.item for r in again]


def test_a_segment_is_calibrated_to_all_its_members() -> None:
    run = load_run(saved_run())
    assert run.memberships is not None
    tags = tuple((f"g{item % GROUPS}",) for item in range(ITEMS))
    tagged = Recommender(replace(run, tags=tags))
    named = tag_matrix(tags)
    assert named is not None
    shares = run.memberships[:, 1].double().numpy()
    wanted = wanted_shares(sp.csr_matrix(shares @ run.train.toarray()), tag_shares(named[1]))[0]
    items = run.items.rows([r.item for r in tagged.recommend_segment(1, 8, Rules(calibration=0.99))])
    share = np.bincount(items % GROUPS, minlength=GROUPS) / 8
    assert np.abs(share - wanted).max() <= 1 / 8


def test_runs_without_tags() -> None:
    with pytest.raises(ConfigError, match="keeps no tags of its items, which 'calibration' needs"):
        Recommender.load(saved_run()).recommend(["1042"], rules=Rules(calibration=0.5))
    problem = failure("recommend", saved_run(), "--user", "1042", "--calibration", 0.5)
    assert problem.startswith(f"'{saved_run()}' keeps no tags")
    none = replace(load_run(saved_run()), tags=((),) * ITEMS)
    with pytest.raises(ConfigError, match="keeps no tags"):
        _ = Reranker(none).shares


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"names": [], "items": []}',
        json.dumps({"names": ["a"], "items": [[1]] * ITEMS}),
        json.dumps({"names": ["a"], "items": [["a"]] * ITEMS}),
    ],
)
def test_damaged_tags(content: str, tmp_path: Path) -> None:
    folder = unsealed(tagged_run(), tmp_path / "run")
    (folder / "tags.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"tags.json' is damaged: it must name .* {ITEMS} items"):
        load_run(folder)
