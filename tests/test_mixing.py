from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnseg import mixing
from gnnseg.baselines import EASE, ItemKNN
from gnnseg.checkpoint import load_run
from gnnseg.config import Config, load_config
from gnnseg.errors import ConfigError
from gnnseg.evaluation import evaluate
from gnnseg.mixing import WEIGHTS, mix
from gnnseg.pipeline import run
from gnnseg.prepared import Prepared, item_terms
from gnnseg.scoring import Constant, ItemGraph, Mixture, Scorer
from gnnseg.tracking import Clock
from tests.runs import ITEMS, PLAIN, on_data, trained

TERM: dict[str, Any] = {"name": "EASE", "regularization": 5.0}
SEVERAL = ["Popularity", TERM, {"name": "ItemKNN", "num_neighbors": 5}]


def config(**changes: Any) -> Config:
    return load_config(on_data({**PLAIN, "term": TERM, **changes}, name="mixed"))


def flat() -> Scorer:
    """An encoder that knows little: the same scores for everybody."""
    return Constant(torch.linspace(0, 1, ITEMS))


def term() -> Scorer:
    return EASE(regularization=5.0).fit(data().graph)


def neighbours() -> Scorer:
    return ItemKNN(num_neighbors=5).fit(data().graph)


def data(**changes: Any) -> Prepared:
    return dataclasses.replace(trained().data, **changes)


def valid_ndcg(scorer: Scorer) -> float:
    found = evaluate(scorer, data().parts.valid, data().train, ["ndcg@10"])
    return found.means["ndcg@10"]


def test_the_weight_is_the_best_on_validation() -> None:
    scorer, about = mix(config(), data(), flat(), [term()])
    expected = {w: valid_ndcg(Mixture([flat(), term()], torch.tensor([1.0, w]))) for w in WEIGHTS}
    [tried] = about["tried"]
    assert tried == {str(w): pytest.approx(value) for w, value in expected.items()}
    assert about["metric"] == "ndcg@10"
    [weight] = about["weights"]
    assert weight > 0
    assert expected[weight] == max(expected.values()) > expected[0.0]
    assert valid_ndcg(scorer) == pytest.approx(max(expected.values()))


def test_of_equal_weights_the_smallest_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A term that changes no order is left out: the encoder's scorer itself is served."""
    monkeypatch.setattr(mixing, "evaluate", lambda *_, **__: trained().valid)
    own = flat()
    scorer, about = mix(config(), data(), own, [term()])
    assert about["weights"] == [0]
    assert scorer is own


def test_a_given_weight_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "evaluate", lambda *_, **__: pytest.fail("looked at validation"))
    empty = dataclasses.replace(data().parts, valid=data().parts.valid[:0])
    scorer, about = mix(config(term_weight=0.7), data(parts=empty), flat(), [term()])
    assert about == {"weights": [0.7], "metric": "ndcg@10", "tried": [{}]}
    assert isinstance(scorer, Mixture)
    assert scorer.weights.tolist() == pytest.approx([1.0, 0.7])


def test_weights_of_several_terms_are_chosen_in_turn_until_none_is_better_alone() -> None:
    """None of the weights tried for one term, the others as they are, is better than the one chosen."""
    terms = [Constant(torch.rand(ITEMS, generator=torch.manual_seed(0))), term(), neighbours()]
    scorer, about = mix(config(term=SEVERAL), data(), flat(), terms)
    weights = about["weights"]
    assert len(weights) == 3
    assert weights[1] > 0
    for place, tried in enumerate(about["tried"]):
        changed = {w: [*weights[:place], w, *weights[place + 1 :]] for w in WEIGHTS}
        for w, all_weights in changed.items():
            own = Mixture([flat(), *terms], torch.tensor([1.0, *all_weights]))
            assert tried[str(w)] == pytest.approx(valid_ndcg(own))
        assert tried[str(weights[place])] == max(tried.values())
    assert valid_ndcg(scorer) == pytest.approx(about["tried"][0][str(weights[0])])


def test_a_term_without_weight_is_left_out() -> None:
    terms = [term(), neighbours()]
    scorer, about = mix(config(term=SEVERAL[1:], term_weight=[0, 2]), data(), flat(), terms)
    assert about == {"weights": [0, 2], "metric": "ndcg@10", "tried": [{}, {}]}
    assert isinstance(scorer, Mixture)
    assert [type(part) for part in scorer.scorers] == [Constant, ItemGraph]
    assert scorer.scorers[1] is terms[1]


def test_a_run_with_several_terms_is_saved_and_served(tmp_path: Path) -> None:
    several = config(term=SEVERAL[1:], term_weight=[0.5, 2], train={**PLAIN["train"], "epochs": 1})
    result = run(several, out=tmp_path / "run")
    saved = load_run(tmp_path / "run")
    assert saved.config.terms == several.terms
    users = torch.arange(5)
    torch.testing.assert_close(saved.scorer.score(users), result.scorer.score(users))


def test_without_validation_a_weight_must_be_given() -> None:
    empty = dataclasses.replace(data().parts, valid=data().parts.valid[:0])
    with pytest.raises(ConfigError, match="chosen on validation, which is empty; give 'term_weight'"):
        mix(config(), data(parts=empty), flat(), [term()])


def test_no_more_users_than_fit_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def watch(scorer: Scorer, held_out: Any, *rest: Any) -> Any:
        seen.append(np.unique(held_out.users))
        return evaluate(scorer, held_out, *rest)

    monkeypatch.setattr(mixing, "MAX_USERS", 7)
    monkeypatch.setattr(mixing, "evaluate", watch)
    mix(config(), data(), flat(), [term()])
    assert len(seen) == len(WEIGHTS)
    assert all(np.array_equal(users, seen[0]) and len(users) == 7 for users in seen)
    every = data().parts.valid
    assert set(seen[0]) <= set(every.users)


def test_a_run_tells_the_weight_and_how_it_was_chosen() -> None:
    result = run(config(train={**PLAIN["train"], "epochs": 2}))
    mixture = result.metrics["mixture"]
    [tried], [weight] = mixture["tried"], mixture["weights"]
    assert tried.keys() == {str(w) for w in WEIGHTS}
    assert result.valid.means["ndcg@10"] == pytest.approx(tried[str(weight)])


def test_a_run_without_a_term_has_no_mixture() -> None:
    assert trained().metrics["mixture"] is None


def test_a_term_is_fitted_once_and_its_seconds_always_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now, fitted = iter([3.0, 5.5, 10.0, 14.0]), []
    monkeypatch.setattr("gnnseg.prepared.time.perf_counter", lambda: next(now))
    fit = EASE.fit
    monkeypatch.setattr(EASE, "fit", lambda own, graph: fitted.append(own.regularization) or fit(own, graph))
    prepared, clocks = data(terms={}), [Clock(), Clock(), Clock()]
    [first], [again] = (item_terms(config(seed=seed), prepared, clocks[seed]) for seed in (0, 1))
    [other] = item_terms(config(term={**TERM, "regularization": 6.0}), prepared, clocks[2])
    assert first is again
    assert other is not first
    assert fitted == [5.0, 6.0]
    assert [clock.seconds["fit"] for clock in clocks] == [2.5, 2.5, 4.0]
    rows = torch.arange(5)
    assert torch.equal(first.score(rows), term().score(rows))
