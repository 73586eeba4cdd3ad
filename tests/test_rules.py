from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnseg.errors import ConfigError, DataError
from gnnseg.recommend import Recommender
from gnnseg.rules import Rules, diversified, penalised
from tests.runs import ITEMS, saved_baseline, saved_run


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return Recommender.load(saved_run())


def greedy(scores: np.ndarray, alike: np.ndarray, k: int, diversity: float) -> list[int]:
    """Maximal marginal relevance as Carbonell and Goldstein write it down."""
    relevance = (scores - scores.min()) / (scores.max() - scores.min())
    chosen: list[int] = []
    while len(chosen) < k:
        left = [i for i in range(len(scores)) if i not in chosen]
        value = {
            i: (1 - diversity) * relevance[i] - diversity * max((alike[i, j] for j in chosen), default=0.0)
            for i in left
        }
        chosen.append(max(left, key=lambda i: value[i]))
    return chosen


@pytest.mark.parametrize("diversity", [0.1, 0.5, 0.9])
def test_marginal_relevance(diversity: float) -> None:
    rng = np.random.default_rng(0)
    scores = -np.sort(-rng.normal(size=(4, 20)), axis=1)
    vectors = rng.normal(size=(4, 20, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    alike = vectors @ vectors.transpose(0, 2, 1)
    found = diversified(torch.from_numpy(scores), torch.from_numpy(alike), 8, diversity)
    assert found.tolist() == [greedy(s, a, 8, diversity) for s, a in zip(scores, alike, strict=True)]


def test_candidates_that_are_none_come_last_and_once() -> None:
    scores = torch.tensor([[2.0, 1.0, -torch.inf, -torch.inf], [-torch.inf] * 4])
    found = diversified(scores, torch.eye(4).expand(2, 4, 4), 4, 0.5)
    assert found[0].tolist()[:2] == [0, 1]
    assert [sorted(row) for row in found.tolist()] == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("penalty", [0.2, 0.7])
def test_penalty(penalty: float) -> None:
    rng = np.random.default_rng(0)
    scores, popularity = rng.normal(size=(3, 9)), rng.integers(0, 50, size=(3, 9))
    scores[1, 6:] = -np.inf
    scores[2] = -np.inf
    found = penalised(torch.from_numpy(scores), torch.from_numpy(popularity), penalty).numpy()
    for row in range(2):
        real = np.isfinite(scores[row])
        own, popular = scores[row][real], np.log(1 + popularity[row][real])
        relevance = (own - own.min()) / (own.max() - own.min())
        known = (popular - popular.min()) / (popular.max() - popular.min())
        np.testing.assert_allclose(found[row][real], (1 - penalty) * relevance - penalty * known)
        assert (found[row][~real] == -np.inf).all()
    assert (found[2] == -np.inf).all()


def test_penalty_shows_rarer_items_with_their_own_scores(recommender: Recommender) -> None:
    users = recommender.run.train.getnnz(axis=0)
    names = list(recommender.run.users)

    def mean(rules: Rules) -> float:
        lists = recommender.recommend(names, 5, rules)
        rows = [recommender.run.items.rows([r.item for r in found]) for found in lists.values()]
        return float(users[np.concatenate(rows)].mean())

    means = [mean(Rules(popularity_penalty=w)) for w in (0.0, 0.3, 0.8)]
    assert means[0] > means[1] > means[2]
    scores = {r.item: r.score for r in recommender.recommend(["1042"], ITEMS)["1042"]}
    for rules in (Rules(popularity_penalty=0.8), Rules(popularity_penalty=0.5, diversity=0.5)):
        for r in recommender.recommend(["1042"], 5, rules)["1042"]:
            assert r.score == scores[r.item]
    both = [r.item for r in recommender.recommend(["1042"], 5, rules)["1042"]]
    alone = [r.item for r in recommender.recommend(["1042"], 5, Rules(diversity=0.5))["1042"]]
    assert both != alone


def test_novelty_is_self_information(recommender: Recommender) -> None:
    run = recommender.run
    bits = -np.log2(np.maximum(run.train.getnnz(axis=0), 1) / run.train.shape[0])
    floor = float(np.median(bits))
    best = recommender.recommend(["1042"], k=ITEMS, rules=Rules(min_novelty=floor))["1042"]
    whole = [r.item for r in recommender.recommend(["1042"], k=ITEMS)["1042"]]
    assert [r.item for r in best] == [i for i in whole if bits[run.items.rows([i])[0]] >= floor]
    assert 0 < len(best) < ITEMS


@pytest.mark.parametrize("rules", [Rules(exclude=["i00", "i03"]), Rules(only=["i01", "i02"]), Rules(only=[])])
def test_rules_hold_for_everybody(recommender: Recommender, rules: Rules) -> None:
    lists = [
        *recommender.recommend(["1000", "1001"], k=5, rules=rules).values(),
        recommender.recommend_for(["i05"], 5, rules),
        recommender.recommend_segment(0, 5, rules),
    ]
    for found in lists:
        items = {r.item for r in found}
        assert items.isdisjoint({str(i) for i in rules.exclude})
        assert rules.only is None or items <= set(rules.only)
    assert any(lists) == (rules.only is None or len(rules.only) > 0)


@pytest.mark.parametrize("folder", [saved_run, saved_baseline])
@pytest.mark.parametrize("on", ["vectors", "texts"])
def test_diversity_makes_lists_less_alike(folder: object, on: str) -> None:
    recommender = Recommender.load(folder())  # type: ignore[operator]
    users = list(recommender.run.users)
    plain = recommender.recommend(users, 8)
    spread = recommender.recommend(users, 8, Rules(diversity=0.7, diversity_on=on))  # type: ignore[arg-type]
    near = recommender.reranker.text_directions if on == "texts" else recommender.reranker.directions

    def alike(lists: dict[str, list]) -> float:  # type: ignore[type-arg]
        rows = [near[recommender.run.items.rows([r.item for r in best])] for best in lists.values()]
        return sum(float((v @ v.T).triu(1).sum()) for v in rows)

    assert alike(spread) < 0.9 * alike(plain)
    assert all(len({r.item for r in best}) == 8 for best in spread.values())


def test_a_segment_is_served_its_members_mean(recommender: Recommender) -> None:
    run = recommender.run
    assert run.memberships is not None
    shares = run.memberships[:, 1].double().numpy()
    scores = run.scorer.score(torch.arange(len(run.users))).double().numpy()
    mean = shares @ scores / shares.sum()
    found = recommender.recommend_segment("1", k=5)
    assert [r.item for r in found] == run.items.names(np.argsort(-mean)[:5])
    assert [r.score for r in found] == pytest.approx(np.sort(mean)[::-1][:5], rel=1e-5)


def test_a_small_segment_is_served_nothing(recommender: Recommender) -> None:
    memberships = torch.zeros(len(recommender.run.users), 2)
    memberships[:9, 1] = 1
    memberships[9:, 0] = 1
    small = Recommender(replace(recommender.run, memberships=memberships))
    with pytest.raises(ConfigError, match="segment 1 has fewer than 10 users"):
        small.recommend_segment(1)
    memberships[9] = torch.tensor([0.0, 1.0])
    assert len(small.recommend_segment(1)) == 10


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"min_novelty": -1.0}, "'min_novelty' must be"),
        ({"min_novelty": float("nan")}, "'min_novelty' must be"),
        ({"diversity": 1.0}, "'diversity' must be"),
        ({"diversity_on": "colour"}, "'diversity_on' must be"),
        ({"popularity_penalty": 1.0}, "'popularity_penalty' must be at least 0 and below 1"),
        ({"popularity_penalty": -0.1}, "'popularity_penalty' must be"),
        ({"calibration": 1.0}, "'calibration' must be at least 0 and below 1"),
        ({"calibration": 0.1, "diversity": 0.1}, "'diversity' and 'calibration' each choose the whole list"),
        ({"pool": 0}, "'pool' must be"),
        ({"only": "i00"}, "'only' must be a list"),
    ],
)
def test_bad_rules(given: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Rules(**given)  # type: ignore[arg-type]


def test_unknown_items(recommender: Recommender) -> None:
    with pytest.raises(DataError, match="unknown item 'i07x'; did you mean 'i07'"):
        recommender.recommend(["1042"], rules=Rules(exclude=["i07x"]))
