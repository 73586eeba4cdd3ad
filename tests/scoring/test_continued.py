"""Cold items beside warm ones, against the formula in float64."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gnnseg.scoring import Among, Constant, Continued, DotProduct, Histories, rebuild
from tests.scoring.made import COLD, FROM_TEXTS, HISTORIES, ITEMS, PLACE, USERS, WARM, as_tensors, made

EVERYBODY = torch.arange(USERS)


def histories() -> Histories:
    return Histories(*as_tensors(HISTORIES), ITEMS)


def over_spread(scores: np.ndarray) -> np.ndarray:
    flat = np.ptp(scores, axis=1, keepdims=True) == 0
    return np.where(flat, 0, scores / np.where(flat, 1, scores.std(1, keepdims=True)))


def expected(rule: list[float], whole: np.ndarray) -> np.ndarray:
    """Scores of the cold items: ``mean(s) + std(s) (shift + scale ((a h + b s) W - m))``, ``[U, C]``."""
    of_history, of_scores, middle, shift, scale = rule
    warm, own = whole[:, WARM.numpy()], HISTORIES.toarray()[:, WARM.numpy()].astype(np.float64)
    mixed = of_history * over_spread(own) + of_scores * over_spread(warm)
    z = mixed @ FROM_TEXTS.numpy() - middle
    return warm.mean(1, keepdims=True) + warm.std(1, keepdims=True) * (shift + scale * z)


@pytest.mark.parametrize(
    "rule",
    [
        PLACE.tolist(),
        [0.0, 0.4, 0.1, -0.3, 0.8],
        [0.7, 0.0, 0.1, -0.3, 0.8],
        [0.0, 0.0, 2.0, 1.0, 3.0],
        [1.5, 0.2, 0.0, 0.0, 1.0],
    ],
)
def test_the_formula(rule: list[float]) -> None:
    whole = made("DotProduct")
    place = torch.tensor(rule, dtype=torch.float64)
    found = Continued(whole, histories(), WARM, COLD, FROM_TEXTS, place).score(EVERYBODY)
    before = whole.score(EVERYBODY)
    assert torch.equal(found[:, WARM], before[:, WARM])
    cold = expected(rule, before.double().numpy())
    np.testing.assert_allclose(found[:, COLD].numpy(), cold, rtol=1e-4, atol=1e-5)


def test_the_rule_is_kept_in_double_precision() -> None:
    rule = torch.tensor([1 / 3, 0.1, 0.2, 0.3, 0.7], dtype=torch.float64)
    scorer = Continued(made("DotProduct"), histories(), WARM, COLD, FROM_TEXTS.double(), rule)
    assert torch.equal(scorer.rule, rule)
    assert scorer.rule.dtype == torch.float64
    assert scorer.weights.dtype == torch.float32
    assert scorer.place == (0.3, 0.7)


def test_placed_moves_the_cold_items_only() -> None:
    scorer = made("Continued")
    assert isinstance(scorer, Continued)
    moved = scorer.placed(0.1, 1.7)
    assert moved.place == (0.1, 1.7)
    assert moved.rule[:3].tolist() == scorer.rule[:3].tolist()
    whole = scorer.whole.score(EVERYBODY).double().numpy()
    cold = expected([*scorer.rule[:3].tolist(), 0.1, 1.7], whole)
    np.testing.assert_allclose(moved.score(EVERYBODY)[:, COLD].numpy(), cold, rtol=1e-4, atol=1e-5)


def test_for_others_scores_and_histories_change_and_nothing_else() -> None:
    scorer = made("Continued")
    assert isinstance(scorer, Continued)
    rows = [4, 2, 0]
    parts = DotProduct(scorer.whole.users[rows], scorer.whole.items)
    other = scorer.of(parts, Histories(*as_tensors(HISTORIES[rows]), ITEMS))
    torch.testing.assert_close(other.score(torch.arange(3)), scorer.score(torch.tensor(rows)))
    assert torch.equal(other.rule, scorer.rule)


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0), (0.1, 0.2), (3.0, 1.0)])
def test_balanced(shares: tuple[float, float]) -> None:
    """Parts of ``z`` have spreads in the proportion asked for, and together mean zero."""
    scorer = made("Continued")
    assert isinstance(scorer, Continued)
    some = torch.tensor([0, 1, 4, 5])
    found = scorer.balanced(*shares, some)
    assert found.place == scorer.place
    whole = scorer.whole.score(some).double().numpy()[:, WARM.numpy()]
    own = HISTORIES.toarray()[some.numpy()][:, WARM.numpy()].astype(np.float64)
    of_history, of_scores, middle = found.rule[:3].tolist()
    weights = FROM_TEXTS.double().numpy()
    by_history, by_scores = over_spread(own) @ weights, over_spread(whole) @ weights
    assert of_history * by_history.std() == pytest.approx(shares[0] / sum(shares), rel=1e-5)
    assert of_scores * by_scores.std() == pytest.approx(shares[1] / sum(shares), rel=1e-5)
    both = of_history * by_history + of_scores * by_scores
    assert middle == pytest.approx(both.mean(), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("length", [0, 3])
def test_a_history_of_no_or_all_warm_items_says_nothing(length: int) -> None:
    """It must not make huge numbers of rounding, nor outweigh everybody else."""
    flat = Histories(torch.tensor([0, length]), WARM[:length], ITEMS)
    scorer = Continued(Constant(torch.arange(ITEMS)), flat, WARM, COLD, FROM_TEXTS, PLACE)
    without = Continued(
        Constant(torch.arange(ITEMS)), flat, WARM, COLD, FROM_TEXTS, PLACE * torch.tensor([0, 1, 1, 1, 1])
    )
    assert torch.equal(scorer.score(torch.arange(1)), without.score(torch.arange(1)))


def test_balanced_in_small_numbers() -> None:
    scorer = Continued(made("DotProduct"), histories(), WARM, COLD, 0.01 * FROM_TEXTS, PLACE)
    found = scorer.balanced(0.0, 1.0, EVERYBODY)
    warm = scorer.whole.score(EVERYBODY).double().numpy()[:, WARM.numpy()]
    z = over_spread(warm) @ (0.01 * FROM_TEXTS.double().numpy())
    assert float(found.rule[1]) == pytest.approx(1 / z.std(), rel=1e-5)


def test_balanced_over_more_users_than_a_block_holds() -> None:
    """Mean and spread are those of all users together, not of the last block."""
    users, items = torch.randn(1100, 3), torch.randn(ITEMS, 3)
    links = torch.randint(0, ITEMS, (1100,))
    own = Histories(torch.arange(1101), links, ITEMS)
    scorer = Continued(DotProduct(users, items), own, WARM, COLD, FROM_TEXTS, PLACE)
    found = scorer.balanced(0.0, 2.0, torch.arange(1100))
    warm = (users @ items.T).double().numpy()[:, WARM.numpy()]
    z = over_spread(warm) @ FROM_TEXTS.double().numpy()
    assert float(found.rule[1]) == pytest.approx(1 / z.std(), rel=1e-5)
    assert float(found.rule[2]) == pytest.approx(z.mean() / z.std(), rel=1e-4)


def test_balanced_where_nothing_varies_stays_finite() -> None:
    flat = Continued(Constant(torch.zeros(ITEMS)), histories(), WARM, COLD, FROM_TEXTS, PLACE)
    found = flat.balanced(0.0, 0.0, torch.tensor([2]))
    assert found.rule[:3].tolist() == [0, 0, 0]
    assert torch.isfinite(flat.balanced(1.0, 1.0, torch.tensor([2])).score(EVERYBODY)).all()


def test_without_cold_items_it_is_the_whole_scorer() -> None:
    none = COLD[:0]
    scorer = Continued(
        made("DotProduct"), histories(), torch.arange(ITEMS), none, torch.zeros(ITEMS, 0), PLACE
    )
    assert torch.equal(scorer.score(EVERYBODY), scorer.whole.score(EVERYBODY))
    assert scorer.balanced(1.0, 1.0, EVERYBODY) is scorer


def test_the_scores_of_the_whole_are_left_as_they_are() -> None:
    """A scorer may hand out a table of its own."""
    table = torch.randn(USERS, ITEMS)
    before = table.clone()

    class Table(Constant):
        def score(self, users: torch.Tensor) -> torch.Tensor:
            return table

    Continued(Table(torch.zeros(ITEMS)), histories(), WARM, COLD, FROM_TEXTS, PLACE).score(EVERYBODY)
    assert torch.equal(table, before)


def test_rebuilt_through_json() -> None:
    scorer = made("Continued")
    kind = json.loads(json.dumps(scorer.kind))
    assert kind == {"continued": "DotProduct"}
    found = rebuild(kind, scorer.state_dict())
    assert isinstance(found, Continued)
    assert isinstance(found.whole, DotProduct)
    assert torch.equal(found.score(EVERYBODY), scorer.score(EVERYBODY))


def test_histories_are_ones_where_there_is_a_link() -> None:
    found = histories().score(torch.tensor([4, 2, 4]))
    assert found.dtype == torch.float32
    assert found.tolist() == HISTORIES.toarray()[[4, 2, 4]].tolist()
    assert histories().num_items == ITEMS


def test_among_ranks_only_its_items() -> None:
    mask = torch.tensor([True, False, True, True, False])
    whole = made("DotProduct")
    found = Among(whole, mask)
    scores = found.score(torch.tensor([1, 3]))
    assert (scores[:, ~mask] == -torch.inf).all()
    assert torch.equal(scores[:, mask], whole.score(torch.tensor([1, 3]))[:, mask])
    assert found.num_items == ITEMS
    assert found.device == torch.device("cpu")
