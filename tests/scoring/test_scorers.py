"""What every scorer keeps to, and each of those from tables."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gnnseg.scoring import (
    SCORERS,
    Constant,
    DotProduct,
    Gated,
    GraphFilter,
    GroupNetworks,
    HistoryScorer,
    ItemGraph,
    MemberItems,
    Mixture,
    NewUsers,
    Scorer,
    rebuild,
)
from tests.scoring.made import (
    COEFFICIENTS,
    DOTS,
    GROUPS,
    HISTORIES,
    HISTORY,
    ITEM_TABLE,
    ITEMS,
    LEFT,
    LINKS,
    MAKERS,
    NETWORKS,
    OWN_GATES,
    RIGHT,
    RULE,
    SCALE,
    SPARSE,
    USER_TABLE,
    USERS,
    WEIGHTS,
    each_scorer,
    made,
)


def test_every_scorer_that_a_run_can_hold_is_tested() -> None:
    assert {type(scorer).__name__ for scorer in map(made, MAKERS)} == {
        *SCORERS,
        "Mixture",
        "Gated",
        "Continued",
    }


@each_scorer
def test_shape_type_and_device(scorer: Scorer) -> None:
    scores = scorer.score(torch.tensor([4, 0, 2]))
    assert scores.shape == (3, ITEMS)
    assert scores.dtype == torch.float32
    assert scorer.num_items == ITEMS
    assert scorer.device == torch.device("cpu")
    assert scorer.score(torch.tensor([], dtype=torch.int64)).shape == (0, ITEMS)


@each_scorer
def test_users_are_scored_one_by_one_in_the_order_asked(scorer: Scorer) -> None:
    users = [5, 2, 0, 5]
    alone = torch.cat([scorer.score(torch.tensor([user])) for user in users])
    torch.testing.assert_close(scorer.score(torch.tensor(users)), alone)


@each_scorer
def test_scores_are_the_callers_to_write_to(scorer: Scorer) -> None:
    users = torch.arange(USERS)
    before = scorer.score(users).clone()
    scores = scorer.score(users)
    scores[0] = -torch.inf
    assert torch.equal(scores[1:], before[1:])
    assert torch.equal(scorer.score(users), before)


@each_scorer
def test_rebuilt_from_its_state_by_name(scorer: Scorer) -> None:
    rebuilt = rebuild(scorer.kind, scorer.state_dict())
    users = torch.arange(USERS)
    assert rebuilt.num_items == scorer.num_items
    assert torch.equal(rebuilt.score(users), scorer.score(users))


def test_dot_product() -> None:
    users, items = torch.randn(USERS, 3), torch.randn(ITEMS, 3)
    scorer = DotProduct(users.clone().requires_grad_(), items)
    assert not scorer.users.requires_grad
    scores = scorer.score(torch.tensor([1, 4]))
    for row, user in enumerate([1, 4]):
        for item in range(ITEMS):
            expected = sum(float(a) * float(b) for a, b in zip(users[user], items[item], strict=True))
            assert float(scores[row, item]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("longer", [1, 3, 12])
def test_coordinates_beyond_a_product_are_added_to_it(longer: int) -> None:
    users, items = torch.randn(USERS, 3 + longer), torch.randn(ITEMS, 3 + longer)
    rows = torch.tensor([4, 1])
    torch.testing.assert_close(DotProduct.of(users, items, 3).score(rows), users[rows] @ items.T)
    users[:, 3:] = 0
    alone = DotProduct(users[:, :3], items[:, :3]).score(rows)
    assert torch.equal(DotProduct.of(users, items, 3).score(rows), alone)


def test_group_networks_are_networks_on_the_pairs_vector() -> None:
    users, items = (table[:, :3].double().numpy() for table in (USER_TABLE, ITEM_TABLE))
    hidden, hidden_bias, output, output_bias = (part.double().numpy() for part in NETWORKS)
    expected = DOTS.numpy()[:, None] * (users @ items.T)
    for user in range(USERS):
        for item in range(ITEMS):
            for group, share in enumerate(GROUPS[user].tolist()):
                values = np.tanh((users[user] * items[item]) @ hidden[group] + hidden_bias[group])
                expected[user, item] += share * (values @ output[group] + output_bias[group])
    found = made("GroupNetworks").score(torch.arange(USERS))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_network_keeps_tables_of_its_own() -> None:
    table = USER_TABLE[:, :3].clone()
    scorer = GroupNetworks(table, ITEM_TABLE[:, :3], GROUPS, DOTS, *NETWORKS)
    before = scorer.score(torch.arange(USERS))
    table.zero_()
    assert torch.equal(scorer.score(torch.arange(USERS)), before)
    assert all(buffer.is_contiguous() for buffer in scorer.buffers())


def test_no_longer_vectors_no_further_coordinates() -> None:
    found = DotProduct.of(USER_TABLE, ITEM_TABLE, 5)
    assert found.more_users is None
    assert torch.equal(found.score(torch.arange(USERS)), USER_TABLE @ ITEM_TABLE.T)


def test_a_mixture_needs_a_weight_for_each() -> None:
    mixture = Mixture([made("DotProduct"), made("Constant")], torch.ones(1))
    with pytest.raises(ValueError, match="zip"):
        mixture.score(torch.arange(2))


def test_a_part_that_is_alike_for_all_items_does_not_count() -> None:
    flat = Constant(torch.full((ITEMS,), 0.3))
    both = Mixture([made("DotProduct"), flat], torch.tensor([1.0, 5.0])).score(torch.arange(USERS))
    assert torch.equal(both, Mixture([made("DotProduct")], torch.ones(1)).score(torch.arange(USERS)))


def test_group_networks_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users of one group at once, or one at a time."""
    scorer, users = made("GroupNetworks"), torch.arange(USERS)
    whole = scorer.score(users)
    monkeypatch.setattr("gnnseg.scoring.group_networks.BLOCK_VALUES", 1)
    torch.testing.assert_close(scorer.score(users), whole)


def test_constant() -> None:
    scores = Constant(torch.tensor([3, 1, 2])).score(torch.tensor([0, 9]))
    assert scores.tolist() == [[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]]


@pytest.mark.parametrize("weights", [WEIGHTS, SPARSE], ids=["dense", "sparse"])
def test_item_graph_is_histories_times_weights(weights: np.ndarray | sp.csr_matrix) -> None:
    dense = weights.toarray() if sp.issparse(weights) else weights
    assert not np.allclose(dense, dense.T)
    scores = ItemGraph.build(HISTORIES, weights).score(torch.arange(USERS))
    np.testing.assert_allclose(scores.numpy(), HISTORIES.toarray() @ dense, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weights", [WEIGHTS, SPARSE], ids=["dense", "sparse"])
def test_item_graph_gives_zeros_without_history(weights: np.ndarray | sp.csr_matrix) -> None:
    assert HISTORIES.getnnz(axis=1)[2] == 0
    assert not ItemGraph.build(HISTORIES, weights).score(torch.tensor([2])).any()


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_graph_filter_is_a_polynomial_of_the_item_graph_plus_a_low_rank_term(order: int) -> None:
    links, size = LINKS.toarray(), np.eye(ITEMS)
    laplacian = size - 2 * links.T @ links
    powers = [size, laplacian, 2 * laplacian @ laplacian - size]
    powers.append(2 * laplacian @ powers[2] - laplacian)
    used = COEFFICIENTS[: order + 1]
    polynomial = sum(c * power for c, power in zip(used, powers[: order + 1], strict=True))
    expected = (HISTORIES.toarray() / SCALE) @ polynomial * SCALE + HISTORIES.toarray() @ LEFT @ RIGHT.T
    scores = GraphFilter.build(LINKS, used, SCALE, LEFT, RIGHT).score(torch.arange(USERS))
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_graph_filter_divides_into_terms(order: int) -> None:
    """Chebyshev polynomials of the dense item graph, by its eigenvalues."""
    used, users = np.arange(order + 1) - 1.5, torch.tensor([4, 2, 0])
    scorer = GraphFilter.build(LINKS, used, SCALE, LEFT, RIGHT)
    *polynomials, low_rank = scorer.terms(users)
    assert len(polynomials) == order + 1
    links, histories = LINKS.toarray(), HISTORIES.toarray()[users.numpy()]
    values, vectors = np.linalg.eigh(np.eye(ITEMS) - 2 * links.T @ links)
    for k, found in enumerate(polynomials):
        response = np.polynomial.chebyshev.chebval(values, [0] * k + [1])
        expected = (histories / SCALE) @ (vectors * response) @ vectors.T * SCALE
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(low_rank, histories @ LEFT @ RIGHT.T, rtol=1e-4, atol=1e-5)
    total = sum(c * part for c, part in zip(used, polynomials, strict=True)) + low_rank
    torch.testing.assert_close(scorer.score(users), total, rtol=1e-4, atol=1e-5)


def test_graph_filter_without_a_low_rank_term() -> None:
    scorer = GraphFilter.build(LINKS, COEFFICIENTS, SCALE, LEFT[:, :0], RIGHT[:, :0])
    assert not scorer.score(torch.tensor([2])).any()
    assert scorer.score(torch.tensor([0])).any()


@pytest.mark.parametrize("scorer", HISTORY, indirect=True)
def test_new_users_are_scored_by_their_histories(scorer: HistoryScorer) -> None:
    """Somebody new with a known user's history has that user's scores."""
    histories = HISTORIES[[4, 2, 0]]
    indptr, indices = (torch.from_numpy(part).long() for part in (histories.indptr, histories.indices))
    found = NewUsers(scorer, indptr, indices).score(torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(found, scorer.score(torch.tensor([4, 2, 0, 4])))


def test_mixture_adds_scores_in_standard_deviations() -> None:
    users = torch.arange(USERS)
    parts = [made("DotProduct"), made("GraphFilter")]
    expected = np.zeros((USERS, ITEMS))
    for part, weight in zip(parts, (1.0, 0.3), strict=True):
        scores = part.score(users).double().numpy()
        spread = np.sqrt(((scores - scores.mean(1, keepdims=True)) ** 2).mean(1, keepdims=True))
        expected += weight * np.divide(scores, spread, out=np.zeros_like(scores), where=spread > 0)
    found = Mixture(parts, torch.tensor([1.0, 0.3])).score(users)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_a_part_of_no_weight_is_not_asked() -> None:
    class Silent(Constant):
        def score(self, users: torch.Tensor) -> torch.Tensor:
            raise AssertionError

    silent = Silent(torch.zeros(ITEMS))
    alone = Mixture([made("DotProduct")], torch.ones(1))
    both = Mixture([made("DotProduct"), silent], torch.tensor([1.0, 0.0]))
    assert torch.equal(both.score(torch.arange(USERS)), alone.score(torch.arange(USERS)))


def test_a_part_is_rebuilt_as_what_it_was() -> None:
    """Kinds within kinds, through JSON as a run on disk holds them."""
    kind = json.loads(json.dumps(made("Gated mixture").kind))
    assert kind == {"whole": [["DotProduct", "ItemGraph"], "GraphFilter"], "local": "MemberItems"}
    found = rebuild(kind, made("Gated mixture").state_dict())
    assert isinstance(found, Gated)
    assert isinstance(found.local, MemberItems)
    assert torch.equal(found.score(torch.arange(USERS)), made("Gated mixture").score(torch.arange(USERS)))


def test_only_a_local_scorer_can_be_the_local_part() -> None:
    state = {
        f"{part}.{k}": v for part in ("whole", "local") for k, v in made("Constant").state_dict().items()
    }
    with pytest.raises(TypeError, match="Constant is no local scorer"):
        rebuild({"whole": "Constant", "local": "Constant"}, {**state, "gates": OWN_GATES, "rule": RULE})


def test_a_part_that_is_missing() -> None:
    state = {k: v for k, v in made("Gated").state_dict().items() if k != "rule"}
    with pytest.raises(KeyError, match="rule"):
        rebuild(made("Gated").kind, state)
