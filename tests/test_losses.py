from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gnnseg.errors import ConfigError
from gnnseg.losses import BPR, BinaryCrossEntropy, Loss, SampledSoftmax, SquaredError


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


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"SampledSoftmax: 'temperature' .*greater than 0 \(got 0\)"):
        SampledSoftmax(temperature=0)
