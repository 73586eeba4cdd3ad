from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from gnnseg.batch import Batch
from gnnseg.config import Schedule
from gnnseg.encoders import ENCODERS, Encoder, GraphEncoder, LightGCN, TextMean
from gnnseg.errors import ConfigError
from gnnseg.losses import BPR
from gnnseg.model import SegmentRecommender
from gnnseg.regularizers import REGULARIZERS, Regularizer
from gnnseg.sampling import Uniform
from gnnseg.training import EpochReport, start_training, train
from tests.contracts.hyperparameters import wrong_hyperparameters
from tests.graphs import random_graph

GRAPH = random_graph()
PAIRS = torch.from_numpy(GRAPH.biadjacency().toarray()).nonzero()

each_class = pytest.mark.parametrize("cls", REGULARIZERS.classes().values(), ids=REGULARIZERS.classes())


def encoder_of(cls: type[Any] = LightGCN) -> Any:
    torch.manual_seed(0)
    options = {"init_scale": 1.0} if issubclass(cls, GraphEncoder) else {}
    features = torch.randn(GRAPH.num_items, 7) if cls is TextMean else None
    return cls(GRAPH.num_users, GRAPH.num_items, features, dim=5, **options).train()


def batch_of(rows: Tensor, count: int = 3) -> Batch:
    batch = Batch.of(GRAPH, *PAIRS[rows].T)
    drawn = Uniform(GRAPH).uniform(batch.users, count, torch.Generator().manual_seed(0))
    return batch.against(drawn)


def term(regularizer: Regularizer, encoder: Encoder, batch: Batch, seed: int = 3) -> Tensor:
    """As the trainer does: the pass first, then the term."""
    torch.manual_seed(seed)
    regularizer.embed(encoder, GRAPH)
    value: Tensor = regularizer(encoder, batch)
    return value


@each_class
def test_a_finite_scalar_with_gradients(cls: type[Regularizer]) -> None:
    encoder, batch = encoder_of(), batch_of(torch.arange(12))
    value = term(cls(), encoder, batch)
    assert value.shape == ()
    assert value > 0
    value.backward()
    for table, rows in ((encoder.users.weight, batch.users), (encoder.items.weight, batch.items)):
        assert torch.isfinite(table.grad).all()
        assert (table.grad[rows].abs().sum(1) > 0).all()


@each_class
def test_a_step_lowers_it(cls: type[Regularizer]) -> None:
    encoder, batch = encoder_of(), batch_of(torch.arange(12))
    value = term(cls(), encoder, batch)
    value.backward()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter -= 1e-2 * parameter.grad
    assert term(cls(), encoder, batch) < value


@each_class
def test_in_proportion_to_its_weight(cls: type[Regularizer]) -> None:
    encoder, batch = encoder_of(), batch_of(torch.arange(12))
    one, three = (term(cls(weight=weight), encoder, batch) for weight in (1.0, 3.0))  # type: ignore[call-arg]
    torch.testing.assert_close(three, 3 * one)
    assert term(cls(weight=0.0), encoder, batch) == 0  # type: ignore[call-arg]


@each_class
def test_randomness_is_torchs_own(cls: type[Regularizer]) -> None:
    """Whose state is saved, so that a run can be resumed."""
    encoder, batch = encoder_of(), batch_of(torch.arange(12))
    assert torch.equal(term(cls(), encoder, batch), term(cls(), encoder, batch))


@each_class
def test_order_of_pairs_does_not_matter(cls: type[Regularizer]) -> None:
    encoder = encoder_of()
    values = [term(cls(), encoder, batch_of(rows)) for rows in (torch.arange(12), torch.arange(12).flip(0))]
    torch.testing.assert_close(*values)


@each_class
def test_without_drawn_items(cls: type[Regularizer]) -> None:
    assert torch.isfinite(term(cls(), encoder_of(), Batch.of(GRAPH, *PAIRS[:12].T)))


def refusal(regularizer: Regularizer, encoder: Encoder) -> str:
    """Why the encoder does not fit, or nothing."""
    try:
        regularizer.check(encoder)
    except ConfigError as error:
        return str(error)
    return ""


@each_class
@pytest.mark.parametrize("name", ENCODERS.classes())
def test_an_encoder_is_refused_beforehand_or_works(cls: type[Regularizer], name: str) -> None:
    regularizer, encoder = cls(), encoder_of(ENCODERS.classes()[name])
    if problem := refusal(regularizer, encoder):
        assert name != "LightGCN"
        assert problem.startswith(f"{cls.__name__} needs ")
        assert f" (got {name}); use LightGCN or " in problem
        with pytest.raises(ConfigError, match=re.escape(problem)):
            trained(regularizer, encoder)
    else:
        assert len(trained(regularizer, encoder)) == 2


def trained(regularizer: Regularizer, encoder: Encoder) -> list[EpochReport]:
    model, schedule = SegmentRecommender(encoder), Schedule(epochs=2, batch_size=9)
    state = start_training(model, schedule, torch.Generator().manual_seed(0))
    torch.manual_seed(7)
    return list(train(model, GRAPH, BPR(), schedule, state, regularizers=[regularizer]))


@each_class
def test_training_sees_it(cls: type[Regularizer]) -> None:
    heavy, light = encoder_of(), encoder_of()
    reports = trained(cls(weight=2.0), heavy)  # type: ignore[call-arg]
    assert reports[0].loss > trained(cls(weight=0.0), light)[0].loss  # type: ignore[call-arg]
    assert not torch.equal(heavy.items.weight, light.items.weight)
    again = encoder_of()
    trained(cls(weight=2.0), again)  # type: ignore[call-arg]
    assert torch.equal(heavy.items.weight, again.items.weight)


@pytest.mark.parametrize(("cls", "name", "value"), wrong_hyperparameters(REGULARIZERS))
def test_hyperparameter_out_of_range(cls: type[Regularizer], name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^regularizer {cls.__name__}: '{name}'.*\(got {value!r}\)"):
        REGULARIZERS.resolve({"name": cls.__name__, name: value})
    with pytest.raises(ConfigError, match=rf"{name}.*\(got {value!r}\)"):
        cls(**{name: value})
