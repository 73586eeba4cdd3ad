"""Scorers as dot products: tables multiplied out must give the scores back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.scoring import (
    Constant,
    Continued,
    DotProduct,
    Gated,
    GraphFilter,
    Mixture,
    Scorer,
    Vectors,
    as_vectors,
    item_vectors,
    vectors,
)
from tests.scoring.made import (
    COEFFICIENTS,
    HISTORIES,
    ITEM_TABLE,
    ITEMS,
    LEFT,
    LINKS,
    OWN_GATES,
    RIGHT,
    RULE,
    SCALE,
    USER_TABLE,
    USERS,
    made,
)

EVERYBODY = torch.arange(USERS)
POLYNOMIAL = "the polynomial of the item graph"


def table_of(scorer: Scorer) -> Vectors:
    found = as_vectors(scorer, USERS)
    assert found is not None
    return found


def products(found: Vectors) -> np.ndarray:
    return found.users.double().numpy() @ found.items.double().numpy().T


def per_spread(scorer: Scorer) -> np.ndarray:
    scores = scorer.score(EVERYBODY).double().numpy()
    return scores / scores.std(1, keepdims=True)


@pytest.mark.parametrize("name", ["DotProduct", "DotProduct of longer vectors", "Constant", "Gated"])
def test_exact(name: str) -> None:
    scorer = made(name)
    found = table_of(scorer)
    assert found.left_out == ()
    np.testing.assert_allclose(products(found), scorer.score(EVERYBODY).numpy(), rtol=1e-4, atol=1e-5)


def test_a_gated_constant_is_one_for_every_user() -> None:
    scorer = Gated(made("Constant"), made("MemberLift"), OWN_GATES, RULE)
    np.testing.assert_allclose(
        products(table_of(scorer)), scorer.score(EVERYBODY).numpy(), rtol=1e-4, atol=1e-5
    )


def test_a_table_is_itself() -> None:
    scorer = made("DotProduct")
    assert isinstance(scorer, DotProduct)
    assert table_of(scorer) == (scorer.users, scorer.items, ())


@pytest.mark.parametrize("block", [1, 4, 4096])
def test_a_mixture_of_tables_is_one(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "BLOCK_USERS", block)
    parts = [made("DotProduct"), made("DotProduct of longer vectors"), made("Constant")]
    scorer = Mixture(parts, torch.tensor([1.0, 0.4, 0.3]))
    found = table_of(scorer)
    assert found.left_out == ()
    assert found.items.shape[1] == 3 + 5 + 1
    expected = sum(w * per_spread(part) for w, part in zip((1.0, 0.4, 0.3), parts, strict=True))
    np.testing.assert_allclose(products(found), expected, rtol=1e-4, atol=1e-5)


def test_what_is_no_table_is_left_out_by_name() -> None:
    parts = [made("ItemGraph"), made("DotProduct"), made("GraphFilter"), made("Constant")]
    found = table_of(Mixture(parts, torch.tensor([1.0, 0.5, 2.0, 0.0])))
    assert found.left_out == ("ItemGraph", POLYNOMIAL)
    assert found.items.shape[1] == 3 + 2  # nothing of the part without weight
    scores = parts[2].score(EVERYBODY).double().numpy()
    low_rank = HISTORIES.toarray() @ LEFT @ RIGHT.T / np.maximum(scores.std(1, keepdims=True), 1e-12)
    expected = 0.5 * per_spread(parts[1]) + 2 * low_rank
    np.testing.assert_allclose(products(found), expected, rtol=1e-4, atol=1e-5)


def test_the_low_rank_term_of_a_filter() -> None:
    found = table_of(made("GraphFilter"))
    assert found.left_out == (POLYNOMIAL,)
    np.testing.assert_allclose(products(found), HISTORIES.toarray() @ LEFT @ RIGHT.T, rtol=1e-4, atol=1e-5)


def test_gated_items_are_left_out_beside_what_the_whole_leaves_out() -> None:
    whole = Mixture([made("DotProduct"), made("ItemGraph")], torch.tensor([1.0, 0.5]))
    found = table_of(Gated(whole, made("MemberItems"), OWN_GATES, RULE))
    assert found.left_out == ("ItemGraph", "MemberItems")
    np.testing.assert_allclose(products(found), per_spread(made("DotProduct")), rtol=1e-4, atol=1e-5)


def test_a_gated_lift_beside_what_is_left_out_has_the_whole_spread() -> None:
    whole = made("Mixture")
    found = table_of(Gated(whole, made("MemberLift"), OWN_GATES, RULE))
    assert found.left_out == ("ItemGraph",)
    spread = whole.score(EVERYBODY).double().numpy().std(1, keepdims=True)
    local = made("MemberLift").score(EVERYBODY).double().numpy()
    expected = per_spread(made("DotProduct")) + OWN_GATES.numpy()[:, None] * spread * local
    np.testing.assert_allclose(products(found), expected, rtol=1e-4, atol=1e-5)


def test_what_texts_say_of_new_items_is_left_out() -> None:
    scorer = made("Continued")
    assert isinstance(scorer, Continued)
    found = table_of(scorer)
    assert found.left_out == ("what texts say of new items",)
    np.testing.assert_allclose(products(found), scorer.whole.score(EVERYBODY).numpy(), rtol=1e-5, atol=1e-6)
    beyond = Continued(
        made("GraphFilter"), *(getattr(scorer, n) for n in ("history", "warm", "cold", "weights", "rule"))
    )
    assert table_of(beyond).left_out == (POLYNOMIAL, "what texts say of new items")


def test_spreads_of_many_users_are_measured_in_blocks() -> None:
    users, items = torch.randn(600, 2), torch.randn(ITEMS, 2)
    first = Mixture([DotProduct(users, items), Constant(torch.rand(ITEMS))], torch.tensor([1.0, 0.5]))
    outer = Mixture([first, DotProduct(users, items)], torch.tensor([2.0, 1.0]))
    found = as_vectors(outer, 600)
    assert found is not None
    np.testing.assert_allclose(products(found), outer.score(torch.arange(600)).numpy(), rtol=1e-3, atol=1e-4)


def test_equal_scores_have_a_spread_that_divides() -> None:
    flat = Mixture([Constant(torch.ones(ITEMS)), made("DotProduct")], torch.tensor([0.0, 1.0]))
    assert np.isfinite(products(table_of(flat))).all()
    also = Mixture([DotProduct(torch.zeros(USERS, 2), torch.ones(ITEMS, 2))], torch.ones(1))
    assert (products(table_of(also)) == 0).all()


@pytest.mark.parametrize("name", ["ItemGraph", "MemberItems", "GroupNetworks"])
def test_no_vectors(name: str) -> None:
    assert as_vectors(made(name), USERS) is None
    assert as_vectors(Mixture([made(name)], torch.ones(1)), USERS) is None
    assert as_vectors(Gated(made(name), made("MemberLift"), OWN_GATES, RULE), USERS) is None


def bare_filter() -> GraphFilter:
    return GraphFilter.build(LINKS, COEFFICIENTS, SCALE, LEFT[:, :0], RIGHT[:, :0])


def test_without_a_low_rank_term_a_filter_has_no_vectors() -> None:
    assert as_vectors(bare_filter(), USERS) is None
    assert item_vectors(bare_filter()) is None
    scorer = made("Continued")
    parts = (getattr(scorer, name) for name in ("history", "warm", "cold", "weights", "rule"))
    assert as_vectors(Continued(bare_filter(), *parts), USERS) is None


def test_item_vectors_are_those_of_the_first_part_that_has_some() -> None:
    table = made("DotProduct")
    assert isinstance(table, DotProduct)
    assert item_vectors(table) is table.items
    assert item_vectors(made("Constant")) is None
    assert item_vectors(made("ItemGraph")) is None
    parts = [made("Constant"), made("ItemGraph"), table, made("GraphFilter")]
    assert item_vectors(Mixture(parts, torch.ones(4))) is table.items
    assert item_vectors(Mixture(parts[:2], torch.ones(2))) is None
    gated = Gated(table, made("MemberLift"), OWN_GATES, RULE)
    assert item_vectors(gated) is table.items
    continued = made("Continued")
    assert isinstance(continued, Continued)
    assert item_vectors(continued) is continued.whole.items


def test_item_vectors_are_a_tensor_of_two_dimensions() -> None:
    scorer = made("ItemGraph")
    scorer.items = [1, 2]
    assert item_vectors(scorer) is None
    assert torch.equal(table_of(DotProduct(USER_TABLE, ITEM_TABLE)).items, ITEM_TABLE)
