from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnnseg.errors import ConfigError
from gnnseg.losses import LOSSES, Loss
from tests.contracts.hyperparameters import wrong_hyperparameters

each_class = pytest.mark.parametrize("cls", LOSSES.classes().values(), ids=LOSSES.classes())


def scores(batch: int = 6, count: int = 4) -> tuple[Tensor, Tensor]:
    """Between 0 and 1, where observed pairs should score more and drawn ones less, whatever the loss."""
    return torch.rand(batch) * 0.8 + 0.1, torch.rand(batch, count) * 0.8 + 0.1


@each_class
@pytest.mark.parametrize(("batch", "count"), [(1, 1), (6, 1), (1, 5), (6, 4)])
def test_builds_with_defaults_and_gives_a_finite_scalar(cls: type[Loss], batch: int, count: int) -> None:
    value = cls()(*scores(batch, count))
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert value > 0


@each_class
@pytest.mark.parametrize("size", [1e2, 1e4])
def test_finite_with_gradients_at_large_scores(cls: type[Loss], size: float) -> None:
    for sign in (1, -1):
        positive = torch.full((3,), sign * size, requires_grad=True)
        negative = torch.full((3, 2), -sign * size, requires_grad=True)
        value = cls()(positive, negative)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(positive.grad).all()
        assert torch.isfinite(negative.grad).all()


@each_class
def test_observed_pairs_are_pushed_up_and_drawn_ones_down(cls: type[Loss]) -> None:
    positive, negative = (part.requires_grad_() for part in scores())
    cls()(positive, negative).backward()
    assert (positive.grad < 0).all()
    assert (negative.grad > 0).all()


@each_class
def test_gradient_is_the_slope(cls: type[Loss]) -> None:
    positive, negative = (part.double().requires_grad_() for part in scores())
    assert torch.autograd.gradcheck(cls(), (positive, negative))


@each_class
def test_a_mean_over_pairs(cls: type[Loss]) -> None:
    """A pair stands against its own drawn items, and the size of the batch does not change the loss."""
    loss = cls()
    positive, negative = scores()
    whole = loss(positive, negative)
    each = torch.stack([loss(positive[row : row + 1], negative[row : row + 1]) for row in range(6)])
    torch.testing.assert_close(each.mean(), whole)


@each_class
def test_order_of_pairs_and_of_drawn_items_does_not_matter(cls: type[Loss]) -> None:
    positive, negative = scores()
    order = torch.randperm(6)
    torch.testing.assert_close(cls()(positive[order], negative[order]), cls()(positive, negative))
    torch.testing.assert_close(cls()(positive, negative.flip(1)), cls()(positive, negative))


@pytest.mark.parametrize(("cls", "name", "value"), wrong_hyperparameters(LOSSES))
def test_hyperparameter_out_of_range(cls: type[Loss], name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^loss {cls.__name__}: '{name}'.*\(got {value!r}\)"):
        LOSSES.resolve({"name": cls.__name__, name: value})
    with pytest.raises(ConfigError, match=rf"{name}.*\(got {value!r}\)"):
        cls(**{name: value})
