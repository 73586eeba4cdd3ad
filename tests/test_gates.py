"""Gates that open where a local model helps users on whom they were not chosen, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg import gates as module
from gnnseg.data import Interactions
from gnnseg.evaluation import evaluate
from gnnseg.gates import FOLDS, VALUES, choose_gates, gated
from gnnseg.scoring import DotProduct, Gated, Gates, LocalScorer, Scorer

USERS, ITEMS, SEGMENTS, METRIC = 200, 60, 2, "ndcg@10"


class Table(LocalScorer):
    """Local scores that are simply given.

    Args:
        memberships: ``[U, S]``.
        scores: ``[U, I]``; users in no segment get zeros.
    """

    scores: Tensor

    def __init__(self, memberships: Tensor, scores: Tensor) -> None:
        super().__init__(memberships)
        self.num_items = scores.shape[1]
        self.register_buffer("scores", scores * (memberships.sum(1, keepdim=True) > 0))

    def score(self, users: Tensor) -> Tensor:
        return self.scores[users]

    def raw(self, share: float, segment: int, items: Tensor, target: int) -> float:
        raise NotImplementedError

    def of(self, memberships: Tensor, indptr: Tensor, indices: Tensor) -> Table:
        raise NotImplementedError


@dataclass(frozen=True)
class World:
    """Users who each want three items; a global scorer that knows nothing of it."""

    whole: Scorer
    valid: Interactions
    train: sp.csr_matrix
    truth: Tensor
    members: Tensor

    def choose(
        self, local: Tensor, members: Tensor | None = None, seed: int = 0
    ) -> tuple[Gates, dict[str, Any]]:
        scorer = Table(self.members if members is None else members, local)
        rng = np.random.default_rng(seed)
        return choose_gates(self.whole, scorer, self.valid, self.train, METRIC, rng)

    def ndcg(self, scorer: Scorer) -> np.ndarray:
        return evaluate(scorer, self.valid, self.train, [METRIC]).per_user[METRIC]

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.train.indptr)


def world(seed: int = 0, users: int = USERS) -> World:
    """Every other user has one item, the others 41; validation holds three items of each."""
    rng = np.random.default_rng(seed)
    train, truth, pairs = np.zeros((users, ITEMS)), np.zeros((users, ITEMS)), []
    for user in range(users):
        items = rng.permutation(ITEMS)
        train[user, items[: 1 + 40 * (user % 2)]] = 1
        truth[user, items[-3:]] = 1
        pairs += [(user, int(item)) for item in items[-3:]]
    valid = Interactions(*np.array(pairs).T)
    whole = DotProduct(torch.from_numpy(rng.normal(size=(users, ITEMS))).float(), torch.eye(ITEMS))
    labels = torch.arange(users) // 2 % SEGMENTS
    members = torch.nn.functional.one_hot(labels, SEGMENTS).float() * 0.8 + 0.1
    return World(whole, valid, sp.csr_matrix(train), torch.from_numpy(truth).float(), members)


def test_the_truth_is_served() -> None:
    made = world()
    gates, about = made.choose(made.truth)
    assert about["served"] == "local"
    assert 0 < about["low"] < about["relative"] < about["high"]
    assert about["p"] < 1e-6
    assert (about["users"], about["metric"]) == (USERS, METRIC)
    assert gates.opens
    scorer = gated(made.whole, Table(made.members, made.truth), gates, made.lengths)
    assert isinstance(scorer, Gated)
    served, alone = made.ndcg(scorer), made.ndcg(made.whole)
    assert served.mean() > 0.9 > 0.4 > alone.mean()
    assert about["gain"] == pytest.approx(served.mean() - alone.mean(), abs=0.05)
    assert about["relative"] == pytest.approx(about["gain"] / alone.mean())
    assert about["scale"] == gates.scale
    assert about["fade"] == (gates.fade if np.isfinite(gates.fade) else None)
    assert about["factors"] == gates.factors.tolist()


def test_what_is_random_is_served_no_oftener_than_the_level_says() -> None:
    """At 5 %, more than 3 of 16 come up once in 140 times; these seeds are always the same."""
    served = []
    for seed in range(16):
        made = world(seed)
        scores = np.random.default_rng(seed + 1000).normal(size=(USERS, ITEMS))
        local = Table(made.members, torch.from_numpy(scores).float())
        gates, about = made.choose(local.scores, seed=seed)
        served.append(about["served"])
        found = gated(made.whole, local, gates, made.lengths)
        assert (found is made.whole) == (not gates.opens) == (about["served"] == "global")
        assert (about["scale"] == 0) == (about["served"] == "global")
    assert served.count("local") <= 3


def test_what_harms_is_not_served() -> None:
    made = world()
    gates, about = made.choose(-made.truth)
    assert (about["served"], about["gain"], about["p"]) == ("global", 0.0, 1.0)
    assert not gates.opens


def test_a_gain_on_the_users_it_was_chosen_on_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Factors of 100 segments of two users without shrinkage: each fits its users, none fits others."""
    made = world(2)
    labels = torch.arange(USERS) // 2
    members = torch.nn.functional.one_hot(labels, USERS // 2).float()
    local = torch.from_numpy(np.random.default_rng(5).normal(size=(USERS, ITEMS))).float()
    monkeypatch.setattr(module, "SHRINKAGE", 1e-9)
    monkeypatch.setattr(module, "SCALES", (1.0,))
    users = np.arange(USERS)
    curves = module._curves(made.whole, Table(members, local), users, made.valid, made.train, METRIC)
    fitted = module._best(curves, made.lengths, labels.numpy(), USERS // 2)
    scorer = gated(made.whole, Table(members, local), fitted, made.lengths)
    alone = made.ndcg(made.whole)
    assert made.ndcg(scorer).mean() > 1.2 * alone.mean()
    _, about = made.choose(local, members)
    assert about["served"] == "global"
    assert about["gain"] < 0.1 * alone.mean()


def test_each_user_is_read_under_gates_of_other_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gates that know on whom they were chosen: nobody may be read by gates that know him."""
    curves = np.random.default_rng(0).random((50, len(VALUES)))
    lengths, labels = np.arange(50), np.zeros(50, dtype=np.int64)  # a length names its user
    chosen_on: list[set[int]] = []
    read: list[int] = []

    def best(curves: np.ndarray, lengths: np.ndarray, labels: np.ndarray, segments: int) -> Gates:
        chosen_on.append(set(lengths.tolist()))
        return Gates(0.0, np.inf, np.ones(segments))

    def reading(gates: Gates, curves: np.ndarray, lengths: np.ndarray, labels: np.ndarray) -> np.ndarray:
        assert chosen_on[-1].isdisjoint(lengths.tolist())
        assert len(chosen_on[-1]) + len(lengths) == 50
        read.extend(lengths.tolist())
        return np.asarray(lengths, dtype=np.float64)

    monkeypatch.setattr(module, "_best", best)
    monkeypatch.setattr(module, "_read", reading)
    found = module._cross_fitted(curves, lengths, labels, 1, np.random.default_rng(0))
    assert sorted(read) == list(range(50))
    assert len(chosen_on) == FOLDS
    assert found.tolist() == list(range(50))


def test_a_segment_that_it_harms_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHRINKAGE", 5.0)
    made = world()
    second = made.members.argmax(1) == 1
    local = torch.where(second.unsqueeze(1), -made.truth, made.truth)
    gates, about = made.choose(local)
    assert about["served"] == "local"
    assert gates.factors[0] > 0
    assert gates.factors[1] == 0
    scorer = gated(made.whole, Table(made.members, local), gates, made.lengths)
    rows = torch.arange(USERS)
    same = (scorer.score(rows) == made.whole.score(rows)).all(1)
    assert torch.equal(same, second)


def test_gates_fade_where_histories_say_more() -> None:
    made = world()
    longer = torch.arange(USERS) % 2 == 1
    gates, about = made.choose(torch.where(longer.unsqueeze(1), -made.truth, made.truth))
    assert about["served"] == "local"
    short, long = gates.at(np.array([1, 41]), np.array([0, 0]))
    assert gates.fade < 30
    assert long < short / 2
    again, _ = made.choose(made.truth)
    assert again.at(np.array([41]), np.array([0])) > long


def test_curves_are_the_metric_under_each_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    made, rng = world(users=23), np.random.default_rng(1)
    local = Table(made.members, torch.from_numpy(rng.normal(size=(23, ITEMS))).float())
    some = rng.permutation(len(made.valid))  # in no order, and not of every user
    some = some[made.valid.users[some] % 4 != 3]
    valid = Interactions(made.valid.users[some], made.valid.items[some])
    everybody = np.unique(valid.users)
    kept = np.arange(len(everybody)) % 6 != 2  # others between them are not looked at
    users = everybody[kept]
    monkeypatch.setattr(module, "BLOCK_SCORES", 5 * ITEMS)  # five users at once
    found = module._curves(made.whole, local, users, valid, made.train, METRIC)
    for column, value in enumerate(VALUES):
        all_alike = torch.full((23,), value)
        scorer = Gated(made.whole, local, all_alike, torch.zeros(SEGMENTS + 2))
        measured = evaluate(scorer, valid, made.train, [METRIC])
        assert measured.users[kept].tolist() == users.tolist()
        np.testing.assert_allclose(found[:, column], measured.per_user[METRIC][kept])


def test_users_in_no_segment_change_nothing_and_get_nothing() -> None:
    """They used to count as members of the first segment."""
    made, outside = world(), torch.arange(USERS) % 4 >= 2
    members = made.members.clone()
    members[outside] = 0
    gates, about = made.choose(made.truth, members)
    assert about["served"] == "local"
    assert about["users"] == USERS
    assert np.isfinite([about["gain"], about["p"], about["low"], about["high"]]).all()
    scorer = gated(made.whole, Table(members, made.truth), gates, made.lengths)
    assert isinstance(scorer, Gated)
    assert not scorer.gates[outside].any()
    rows = torch.arange(USERS)
    assert torch.equal(scorer.score(rows)[outside], made.whole.score(rows)[outside])
    assert torch.isfinite(scorer.score(rows)).all()


def test_the_first_segment_is_not_that_of_nobody() -> None:
    """Users outside, whose curves would favour a closed gate, do not close that of the first segment."""
    curves = np.tile(np.linspace(0.2, 0.6, len(VALUES)), (60, 1))
    labels, lengths = np.repeat([0, 1, -1], 20), np.zeros(60)
    curves[labels < 0] = np.linspace(0.9, 0.1, len(VALUES))
    found = module._best(curves, lengths, labels, 2)
    assert found.factors[0] == found.factors[1] > 0
    assert module._read(found, curves, lengths, labels)[-1] == 0.9


def test_nobody_is_in_any_segment() -> None:
    made = world(users=40)
    gates, about = made.choose(made.truth, torch.zeros(40, SEGMENTS))
    assert (about["served"], about["gain"], about["p"]) == ("global", 0.0, 1.0)
    assert not gates.opens


@pytest.mark.parametrize("users", [1, 2, 3])
def test_a_handful_of_users_prove_nothing(users: int) -> None:
    made = world(users=users)
    gates, about = made.choose(made.truth)
    assert about["served"] == "global"
    assert about["users"] == users
    assert not gates.opens


def test_no_more_users_than_allowed_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_USERS", 50)
    made = world()
    assert made.choose(made.truth)[1]["users"] == 50


def test_chosen_by_the_generator_alone() -> None:
    made = world()
    first, second = (made.choose(made.truth, seed=3)[1] for _ in range(2))
    assert first == second


def test_what_is_served_is_said() -> None:
    """Folds may gain by gates that all users together do not confirm: then nothing is served."""
    made = world()
    closed = Gates(0.0, np.inf, np.ones(SEGMENTS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_best", lambda *_: closed)
        patch.setattr(module, "_cross_fitted", lambda curves, *_: curves[:, 0] + 0.1)
        gates, about = made.choose(made.truth)
    assert about["gain"] == pytest.approx(0.1)
    assert about["served"] == "global"
    assert not gates.opens


def test_of_equal_gates_the_smallest() -> None:
    flat = np.full((30, len(VALUES)), 0.5)
    found = module._best(flat, np.arange(30), np.zeros(30, dtype=np.int64), 1)
    assert found.scale == 0


def test_the_best_gate_is_found() -> None:
    """Everybody is served best at 0.5, whatever the history."""
    curves = -np.abs(np.log(np.maximum(VALUES, 1e-3)) - np.log(0.5)) * np.ones((40, 1))
    lengths, labels = np.arange(40), np.arange(40) % 2
    found = module._best(curves, lengths, labels, 2)
    assert module._read(found, curves, lengths, labels).tolist() == [0.0] * 40
    assert found.fade == np.inf
