"""What scorers are made of: pairs of histories, spreads, contributions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gnnseg.scoring import (
    HistoryScorer,
    Known,
    MemberItems,
    Mixture,
    NewUsers,
    Scorer,
    csr_parts,
    divisor,
    history_pairs,
    spread,
)
from tests.scoring.made import (
    HISTORIES,
    HISTORY,
    ITEMS,
    LOCAL_WEIGHTS,
    MEMBERSHIPS,
    USERS,
    WEIGHTS,
    as_tensors,
    made,
)


@pytest.mark.parametrize("kind", [torch.int32, torch.int64])
def test_pairs_of_histories_in_the_order_asked(kind: torch.dtype) -> None:
    indptr, indices = (part.to(kind) for part in as_tensors(HISTORIES))
    users = [4, 2, 0, 4]
    rows, items = history_pairs(indptr, indices, torch.tensor(users))
    expected = [(n, item) for n, user in enumerate(users) for item in HISTORIES[user].indices.tolist()]
    assert list(zip(rows.tolist(), items.tolist(), strict=True)) == expected
    assert rows.dtype == items.dtype == torch.int64


def test_parts_of_a_matrix() -> None:
    indptr, indices = csr_parts(HISTORIES)
    assert (indptr.dtype, indices.dtype) == (torch.int64, torch.int64)
    assert indptr.tolist() == HISTORIES.indptr.tolist()
    assert indices.tolist() == HISTORIES.indices.tolist()


def test_spread_is_the_population_standard_deviation() -> None:
    scores = torch.tensor([[1.0, 3.0], [5.0, 5.0], [0.0, 2e-13]])
    found = spread(scores)
    assert found.shape == (3, 1)
    assert found.flatten().tolist() == [1.0, pytest.approx(1e-12), pytest.approx(1e-12)]
    assert scores.tolist()[0] == [1.0, 3.0]


@pytest.mark.parametrize("value", [0.1, -7.3, 1e6, 1e-9])
def test_scores_that_are_alike_are_divided_into_zeros(value: float) -> None:
    scores = torch.full((1, 1000), value)
    assert not (scores / divisor(scores)).any()
    scores[0, 1] += 10 * abs(value)
    assert (scores / divisor(scores)).double().std(correction=0).item() == pytest.approx(1, rel=1e-5)


def test_a_row_of_zeros_stays_one() -> None:
    assert not (torch.zeros(2, 5) / divisor(torch.zeros(2, 5))).any()


@pytest.mark.parametrize(
    "name", ["DotProduct", "Constant", "DotProduct of longer vectors", "MemberLift", "Gated"]
)
def test_scores_lie_where_the_tables_lie(name: str) -> None:
    """On ``meta``, which knows shapes only and refuses tensors of other devices."""
    for scorer in (made(name), Mixture([made(name)], torch.ones(1))):
        scores = scorer.to("meta").score(torch.arange(3, device="meta"))
        assert (scores.device.type, scores.shape) == ("meta", (3, ITEMS))


@pytest.mark.parametrize("scorer", ["Constant", "ItemGraph"], indirect=True)
def test_histories_are_scored_where_they_lie(scorer: Scorer) -> None:
    assert isinstance(scorer, HistoryScorer)
    rows, items = torch.zeros(2, 3, dtype=torch.int64, device="meta")
    scores = scorer.to("meta").score_histories(rows, items, 4)
    assert (scores.device.type, scores.shape) == ("meta", (4, ITEMS))


@pytest.mark.parametrize(
    "scorer",
    [name for name in HISTORY[1:] if name != "Factors"],  # a vector of ALS is not linear in the history
    indirect=True,
)
@pytest.mark.parametrize("count", [0, 5, 130])
def test_contributions_are_scores_of_histories_of_one_item(scorer: Scorer, count: int) -> None:
    """More items than one block of 64 holds as well."""
    assert isinstance(scorer, HistoryScorer)
    items = torch.randint(0, ITEMS, (count,))
    found = scorer.contributions(items, 3)
    alone = [
        float(scorer.score_histories(torch.zeros(1, dtype=torch.int64), items[n : n + 1], 1)[0, 3])
        for n in range(count)
    ]
    assert found.tolist() == pytest.approx(alone, abs=1e-5)
    assert found.dtype == torch.float32
    assert found.shape == (count,)


@pytest.mark.parametrize("scorer", HISTORY[1:], indirect=True)
def test_contributions_add_up_to_the_score(scorer: Scorer) -> None:
    assert isinstance(scorer, HistoryScorer)
    user, target = 4, 1
    items = torch.from_numpy(HISTORIES[user].indices).long()
    total = float(scorer.contributions(items, target).double().sum())
    assert total == pytest.approx(float(scorer.score(torch.tensor([user]))[0, target]), abs=1e-4)


def test_new_users_from_a_matrix() -> None:
    scorer = made("ItemGraph")
    assert isinstance(scorer, HistoryScorer)
    new = sp.csr_matrix(np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 0]], dtype=np.float32))
    found = NewUsers.build(scorer, new)
    assert found.num_items == ITEMS
    np.testing.assert_allclose(
        found.score(torch.tensor([1, 0])).numpy(), new.toarray()[[1, 0]] @ WEIGHTS, rtol=1e-5
    )


def test_known_scores_are_those_of_the_scorer() -> None:
    scorer, users = made("DotProduct"), torch.tensor([1, 3, 4])
    found = Known.of(scorer, users)
    assert found.num_items == ITEMS
    torch.testing.assert_close(found.score(torch.tensor([4, 1, 4])), scorer.score(torch.tensor([4, 1, 4])))
    assert torch.equal(found.users, users)


def test_known_of_more_users_than_a_block_holds() -> None:
    scorer = made("DotProduct")
    users = torch.arange(USERS).repeat(200).sort().values
    assert torch.equal(Known.of(scorer, users).scores, scorer.score(users))


def test_what_a_segment_of_a_lift_adds() -> None:
    lift = made("MemberLift")
    found = lift.raw(0.5, 1, torch.tensor([0]), 3)
    assert found == pytest.approx(0.5 * float(lift.lift[3, 1]))


@pytest.mark.parametrize("segment", range(3))
def test_what_a_segment_of_items_adds(segment: int) -> None:
    """Share times the segment's weights from the history to the target, whatever else stands beside them."""
    scorer, items = made("MemberItems"), [4, 0, 2]
    weights = LOCAL_WEIGHTS[segment].toarray()
    for target in range(ITEMS):
        found = scorer.raw(0.25, segment, torch.tensor(items), target)
        assert found == pytest.approx(0.25 * weights[items, target].sum(), abs=1e-6)
    assert MEMBERSHIPS.shape[1] == len(LOCAL_WEIGHTS)


def test_items_of_a_single_segment() -> None:
    scorer = MemberItems.build(HISTORIES, LOCAL_WEIGHTS[:1], torch.ones(USERS, 1))
    assert scorer.num_items == ITEMS
    expected = HISTORIES.toarray().astype(np.float64) @ LOCAL_WEIGHTS[0].toarray()
    expected /= np.where(expected.any(1), expected.std(1), 1)[:, None]
    np.testing.assert_allclose(scorer.score(torch.arange(USERS)).numpy(), expected, rtol=1e-4, atol=1e-5)
