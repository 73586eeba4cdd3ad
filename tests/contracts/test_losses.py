from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnnseg.batch import Batch
from gnnseg.errors import ConfigError
from gnnseg.graph import Embeddings
from gnnseg.losses import LOSSES, Loss
from gnnseg.sampling import Popularity
from tests.contracts.hyperparameters import wrong_hyperparameters
from tests.graphs import random_graph

GRAPH = random_graph()
PAIRS = torch.from_numpy(GRAPH.biadjacency().toarray()).nonzero()
each_class = pytest.mark.parametrize("cls", LOSSES.classes().values(), ids=LOSSES.classes())


def scores(batch: int = 6, count: int = 4) -> tuple[Tensor, Tensor]:
    """Between 0 and 1, where observed pairs should score more and drawn ones less, whatever the loss.

    One drawn item of each pair is hard, as some losses leave easy ones alone.
    """
    negative = torch.rand(batch, count) * 0.8 + 0.1
    negative[:, 0] = 0.95
    return torch.rand(batch) * 0.8 + 0.1, negative


def tables() -> Embeddings:
    """Unit vectors, as losses of cosines expect."""
    sizes = (GRAPH.num_users, GRAPH.num_items)
    return Embeddings(
        *(torch.nn.functional.normalize(torch.randn(n, 4), dim=1).requires_grad_() for n in sizes)
    )


def batch_of(rows: Tensor, drawn: Tensor) -> Batch:
    """Pairs of the graph against items drawn for each user of the graph, ``[U, K]``."""
    batch, sampler = Batch.of(GRAPH, *PAIRS[rows].T), Popularity(GRAPH)
    drawn = drawn[batch.users]
    return batch.against(drawn, sampler.log_q(batch.users, drawn))


def drawn_items(count: int = 3) -> Tensor:
    every = torch.arange(GRAPH.num_users)
    return Popularity(GRAPH).uniform(every, count, torch.Generator().manual_seed(0))


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
    assert (negative.grad >= 0).all()
    assert (negative.grad[:, 0] > 0).all()


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


@each_class
def test_of_a_batch_is_a_finite_scalar_that_a_step_lowers(cls: type[Loss]) -> None:
    loss, both, batch = cls(), tables(), batch_of(torch.arange(12), drawn_items())
    value = loss.of(both, batch)
    assert value.shape == ()
    assert torch.isfinite(value)
    value.backward()
    for table, rows in zip(both, (batch.users, batch.items), strict=True):
        assert torch.isfinite(table.grad).all()
        assert (table.grad[rows].abs().sum(1) > 0).all()
    moved = Embeddings(*(table.detach() - 1e-3 * table.grad for table in both))
    assert loss.of(moved, batch) < value


@each_class
def test_of_a_batch_has_the_slope_for_its_gradient(cls: type[Loss]) -> None:
    batch = batch_of(torch.arange(12), drawn_items())
    both = [table.detach().double().requires_grad_() for table in tables()]
    assert torch.autograd.gradcheck(lambda *both: cls().of(Embeddings(*both), batch), both)


@each_class
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_of_any_size_have_the_mean_of_all_pairs(cls: type[Loss], size: int) -> None:
    """Whatever a loss takes from whole tables must be shared out among the pairs."""
    loss, both, drawn = cls(), tables(), drawn_items()
    rows = torch.randperm(len(PAIRS))
    whole = loss.of(both, batch_of(rows, drawn))
    parts = [loss.of(both, batch_of(part, drawn)) * len(part) for part in rows.split(size)]
    torch.testing.assert_close(torch.stack(parts).sum() / len(rows), whole)


@each_class
def test_of_a_batch_with_users_once_a_pair(cls: type[Loss]) -> None:
    """As batches are off the CPU."""
    loss, both, drawn = cls(), tables(), drawn_items()
    users, items = PAIRS[:12].T
    log_q = Popularity(GRAPH).log_q(users, drawn[users])
    apart = Batch(GRAPH, users, torch.arange(12), items, drawn[users], log_q)
    torch.testing.assert_close(loss.of(both, apart), loss.of(both, batch_of(torch.arange(12), drawn)))


@each_class
def test_draws_says_whether_drawn_items_matter(cls: type[Loss]) -> None:
    loss, both, rows = cls(), tables(), torch.arange(12)
    first, second = drawn_items(), drawn_items(5)[:, 2:]
    assert not torch.equal(first, second)
    same = torch.equal(loss.of(both, batch_of(rows, first)), loss.of(both, batch_of(rows, second)))
    assert same == (not loss.draws)


@each_class
def test_without_drawn_items_if_none_are_wanted(cls: type[Loss]) -> None:
    loss, both = cls(), tables()
    if not loss.draws:
        expected = loss.of(both, batch_of(torch.arange(12), drawn_items()))
        assert torch.equal(loss.of(both, Batch.of(GRAPH, *PAIRS[:12].T)), expected)


@pytest.mark.parametrize(("cls", "name", "value"), wrong_hyperparameters(LOSSES))
def test_hyperparameter_out_of_range(cls: type[Loss], name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^loss {cls.__name__}: '{name}'.*\(got {value!r}\)"):
        LOSSES.resolve({"name": cls.__name__, name: value})
    with pytest.raises(ConfigError, match=rf"{name}.*\(got {value!r}\)"):
        cls(**{name: value})
