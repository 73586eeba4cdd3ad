from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.batch import Batch
from gnnseg.errors import ConfigError
from gnnseg.graph import Embeddings
from gnnseg.losses import (
    BPR,
    BinaryCrossEntropy,
    CosineContrastive,
    FullSoftmax,
    Loss,
    SampledSoftmax,
    SquaredError,
    SquaredErrorAllPairs,
)
from tests.graphs import from_dense, random_graph

GRAPH = random_graph()
LINKS = torch.from_numpy(GRAPH.biadjacency().toarray())
USERS, ITEMS = LINKS.nonzero().T


def tables() -> Embeddings:
    return Embeddings(*(torch.randn(n, 5).requires_grad_() for n in (GRAPH.num_users, GRAPH.num_items)))


def same_gradients(found: Tensor, expected: Tensor, both: Embeddings) -> None:
    torch.testing.assert_close(found, expected)
    for one, other in zip(
        torch.autograd.grad(found, both, retain_graph=True),
        torch.autograd.grad(expected, both),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def scores(batch: int = 7, count: int = 4) -> tuple[Tensor, Tensor]:
    return torch.randn(batch) * 2, torch.randn(batch, count) * 2


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    return -F.logsigmoid(positive.unsqueeze(1) - negative).mean()


def binary_cross_entropy(positive: Tensor, negative: Tensor) -> Tensor:
    observed = F.binary_cross_entropy_with_logits(positive, torch.ones_like(positive))
    drawn = F.binary_cross_entropy_with_logits(negative, torch.zeros_like(negative))
    return observed + drawn


def sampled_softmax(positive: Tensor, negative: Tensor) -> Tensor:
    logits = torch.column_stack([positive, negative]) / 0.15
    return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64))


def squared_error(positive: Tensor, negative: Tensor) -> Tensor:
    return F.mse_loss(positive, torch.ones_like(positive)) + F.mse_loss(negative, torch.zeros_like(negative))


@pytest.mark.parametrize(
    ("loss", "oracle"),
    [
        (BPR(), bpr),
        (BinaryCrossEntropy(), binary_cross_entropy),
        (SampledSoftmax(), sampled_softmax),
        (SquaredError(), squared_error),
    ],
    ids=["BPR", "BinaryCrossEntropy", "SampledSoftmax", "SquaredError"],
)
@pytest.mark.parametrize("count", [1, 5])
def test_equals_the_functional_form(loss: Loss, oracle: object, count: int) -> None:
    positive, negative = scores(count=count)
    torch.testing.assert_close(loss(positive, negative), oracle(positive, negative))  # type: ignore[operator]


@pytest.mark.parametrize("score", [-3.0, 0.0, 40.0])
def test_bpr_at_equal_scores_is_log_2(score: float) -> None:
    assert float(BPR()(torch.full((3,), score), torch.full((3, 2), score))) == pytest.approx(math.log(2))


def test_binary_cross_entropy_at_zero_is_twice_log_2() -> None:
    assert float(BinaryCrossEntropy()(torch.zeros(3), torch.zeros(3, 5))) == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize("count", [1, 9])
def test_sampled_softmax_at_equal_scores_is_the_log_of_the_choices(count: int) -> None:
    loss = SampledSoftmax()(torch.ones(3), torch.ones(3, count))
    assert float(loss) == pytest.approx(math.log(1 + count))


def test_squared_error_by_hand() -> None:
    loss = SquaredError()(torch.tensor([1.0, 3.0]), torch.tensor([[0.0, 1.0], [2.0, 1.0]]))
    assert float(loss) == pytest.approx(4 / 2 + (1 + 4 + 1) / 4)


def test_a_low_temperature_looks_at_the_hardest_negative_alone() -> None:
    loss = SampledSoftmax(temperature=0.01)(torch.tensor([1.0]), torch.tensor([[1.5, 0.0, -1.0]]))
    assert float(loss) == pytest.approx(0.5 / 0.01, rel=1e-4)


def test_cosine_is_the_softmaxs_choice_alone() -> None:
    assert SampledSoftmax().cosine
    assert not SampledSoftmax(cosine=False).cosine
    assert not any(loss().cosine for loss in (BPR, BinaryCrossEntropy, SquaredError))


def test_squared_error_at_another_weight() -> None:
    loss = SquaredError(negative_weight=0.5)(torch.tensor([3.0]), torch.tensor([[1.0, 3.0]]))
    assert float(loss) == pytest.approx(4 + 0.5 * 10 / 2)


def test_cosine_contrastive_by_hand() -> None:
    loss = CosineContrastive(margin=0.4, negative_weight=6)
    assert loss.cosine
    found = loss(torch.tensor([0.8, -0.5]), torch.tensor([[0.3, 0.9, 0.5], [-1.0, 0.39, 1.0]]))
    assert float(found) == pytest.approx((0.2 + 1.5) / 2 + 6 * (0.5 + 0.1 + 0.6) / 6)


@pytest.mark.parametrize("temperature", [0.2, 1.0])
@pytest.mark.parametrize("rows", [slice(None), slice(3, 15)], ids=["all", "some"])
def test_full_softmax_is_the_cross_entropy_over_the_catalogue(temperature: float, rows: slice) -> None:
    both, users, items = tables(), USERS[rows], ITEMS[rows]
    found = FullSoftmax(temperature=temperature).of(both, Batch.of(GRAPH, users, items))
    same_gradients(found, F.cross_entropy(both.users[users] @ both.items.T / temperature, items), both)


def test_full_softmax_of_cosines_is_said_to_be_so() -> None:
    assert FullSoftmax(cosine=True).cosine
    assert not FullSoftmax().cosine


@pytest.mark.parametrize("rows", [slice(None), slice(3, 15)], ids=["all", "some"])
def test_full_softmax_against_what_the_user_lacks(rows: slice) -> None:
    both, users, items = tables(), USERS[rows], ITEMS[rows]
    found = FullSoftmax(temperature=0.5, own_items=False).of(both, Batch.of(GRAPH, users, items))
    losses = []
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        others = [n for n in range(GRAPH.num_items) if not LINKS[user, n]]
        scores = both.items[[item, *others]] @ both.users[user] / 0.5
        losses.append(F.cross_entropy(scores, torch.tensor(0)))
    same_gradients(found, torch.stack(losses).mean(), both)


def test_full_softmax_of_a_user_who_lacks_nothing_is_zero() -> None:
    graph = from_dense(torch.tensor([[1, 1, 1]]).numpy())
    both = Embeddings(torch.randn(1, 2, requires_grad=True), torch.randn(3, 2, requires_grad=True))
    value = FullSoftmax(own_items=False).of(both, Batch.of(graph, torch.tensor([0, 0]), torch.tensor([1, 2])))
    value.backward()
    assert value == 0
    assert all(torch.isfinite(table.grad).all() for table in both)


@pytest.mark.parametrize("weight", [0.05, 1.0, 3.0])
def test_squared_error_of_all_pairs_is_the_dense_sum(weight: float) -> None:
    both = tables()
    scores = both.users @ both.items.T
    dense = ((1 - scores).square() * LINKS).sum() + weight * (scores.square() * (1 - LINKS)).sum()
    found = SquaredErrorAllPairs(negative_weight=weight).of(both, Batch.of(GRAPH, USERS, ITEMS))
    same_gradients(found, dense / len(USERS), both)


def drawn(probabilities: Tensor, batch: Batch, count: int) -> Batch:
    """Against items drawn for each user from its row of ``probabilities [U, I]``."""
    rows = probabilities[batch.users]
    items = rows.multinomial(count, replacement=True)
    uniform = 1 / (1 - LINKS[batch.users]).sum(1, keepdim=True)
    return batch.against(items, (rows.gather(1, items) / uniform).log())


def test_log_q_makes_any_sampler_estimate_the_same_softmax() -> None:
    """With very many draws the loss is that of uniform draws, however the items were drawn."""
    both, batch, count = tables(), Batch.of(GRAPH, USERS, ITEMS), 100_000
    both = Embeddings(*(table.detach() * 0.4 for table in both))
    free = 1 - LINKS
    skewed = free * (both.users @ both.items.T).exp()  # popular where scores are high, as items tend to be
    uniform, skewed = (row / row.sum(1, keepdim=True) for row in (free, skewed))
    plain, corrected = (SampledSoftmax(temperature=0.7, cosine=False, log_q=q) for q in (False, True))
    expected = float(plain.of(both, drawn(uniform, batch, count)))
    assert float(corrected.of(both, drawn(skewed, batch, count))) == pytest.approx(expected, abs=0.01)
    assert float(plain.of(both, drawn(skewed, batch, count))) > expected + 0.05


def test_log_q_of_uniform_draws_changes_nothing() -> None:
    both = tables()
    batch = drawn((1 - LINKS) / (1 - LINKS).sum(1, keepdim=True), Batch.of(GRAPH, USERS, ITEMS), 3)
    plain = SampledSoftmax().of(both, batch)
    torch.testing.assert_close(SampledSoftmax(log_q=True).of(both, batch), plain)
    assert torch.equal(SampledSoftmax(log_q=True).of(both, batch.against(batch.negatives)), plain)


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"SampledSoftmax: 'temperature' .*greater than 0 \(got 0\)"):
        SampledSoftmax(temperature=0)
