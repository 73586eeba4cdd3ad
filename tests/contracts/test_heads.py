from __future__ import annotations

import pytest
import torch
from torch import Tensor

from gnnseg.errors import ConfigError
from gnnseg.graph import Embeddings
from gnnseg.heads import HEADS, SegmentHead
from tests.contracts.hyperparameters import wrong_hyperparameters
from tests.graphs import randomise

USERS, ITEMS, DIM, SEGMENTS = 9, 7, 6, 3
each_class = pytest.mark.parametrize("cls", HEADS.classes().values(), ids=HEADS.classes())
each_with_parameters = pytest.mark.parametrize(
    "cls", [cls for cls in HEADS.classes().values() if list(cls(DIM, SEGMENTS).parameters())]
)


def embeddings() -> Embeddings:
    return Embeddings(torch.randn(USERS, DIM), torch.randn(ITEMS, DIM))


def memberships() -> Tensor:
    return torch.softmax(2 * torch.randn(USERS, SEGMENTS), dim=1)


def scores(found: Embeddings) -> Tensor:
    return found.users @ found.items.T


def test_only_heads_that_ignore_segments_have_no_parameters() -> None:
    without = {name for name, cls in HEADS.classes().items() if not list(cls(DIM, SEGMENTS).parameters())}
    assert without == {"Shared"}


@each_class
@pytest.mark.parametrize("segments", [1, SEGMENTS])
def test_builds_with_defaults(cls: type[SegmentHead], segments: int) -> None:
    head = cls(DIM, segments)
    randomise(head)
    found = head(embeddings(), torch.full((USERS, segments), 1 / segments))
    assert found.users.shape == (USERS, found.items.shape[1])
    assert found.items.shape[0] == ITEMS
    assert all(torch.isfinite(table).all() for table in found)
    assert f"dim={DIM}, num_segments={segments}" in repr(head)


@each_class
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dropout", [None, 0.5])
def test_starts_as_the_identity_in_scores(
    cls: type[SegmentHead], training: bool, dropout: float | None
) -> None:
    given = {} if dropout is None or "dropout" not in cls.hyperparameters() else {"dropout": dropout}
    start = embeddings()
    assert torch.equal(
        scores(cls(DIM, SEGMENTS, **given).train(training)(start, memberships())), scores(start)
    )


@each_class
def test_the_given_vectors_stay_as_they_are(cls: type[SegmentHead]) -> None:
    head, start = cls(DIM, SEGMENTS), embeddings()
    randomise(head)
    copy = [table.clone() for table in start]
    head(start, memberships())
    assert all(map(torch.equal, start, copy))


@each_with_parameters
def test_gradients_reach_every_parameter(cls: type[SegmentHead]) -> None:
    head = cls(DIM, SEGMENTS)
    randomise(head)
    scores(head(embeddings(), memberships())).square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert (parameter.grad.abs() > 0).all(), name


@each_with_parameters
def test_leaves_the_identity_in_one_step(cls: type[SegmentHead]) -> None:
    """Zeros on both sides of a product would be a saddle that no gradient leaves."""
    head, start, shares = cls(DIM, SEGMENTS), embeddings(), memberships()
    scores(head(start, shares)).sum().backward()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter -= 0.1 * parameter.grad
    assert not torch.allclose(scores(head(start, shares)), scores(start))


@each_class
def test_gradients_reach_the_encoder(cls: type[SegmentHead]) -> None:
    head, start = cls(DIM, SEGMENTS), Embeddings(*(table.requires_grad_() for table in embeddings()))
    scores(head(start, memberships())).square().sum().backward()
    assert all((table.grad.abs().sum(1) > 0).all() for table in start)


@each_with_parameters
def test_memberships_change_their_own_user_alone(cls: type[SegmentHead]) -> None:
    head, start, shares = cls(DIM, SEGMENTS), embeddings(), memberships()
    randomise(head)
    other = shares.clone()
    other[4] = other[4].roll(1)
    changed = (scores(head(start, shares)) - scores(head(start, other))).abs().amax(1) > 1e-4
    assert changed.nonzero().tolist() == [[4]]


@each_with_parameters
def test_renaming_segments_with_their_parameters_changes_nothing(cls: type[SegmentHead]) -> None:
    head, other = cls(DIM, SEGMENTS), cls(DIM, SEGMENTS)
    randomise(head)
    order, start, shares = [2, 0, 1], embeddings(), memberships()
    other.load_state_dict({name: tensor[order] for name, tensor in head.state_dict().items()})
    torch.testing.assert_close(
        scores(other(start, shares[:, order])), scores(head(start, shares)), rtol=1e-4, atol=1e-4
    )


@each_class
def test_permuting_users_and_items_permutes_the_output(cls: type[SegmentHead]) -> None:
    head, start, shares = cls(DIM, SEGMENTS), embeddings(), memberships()
    randomise(head)
    users, items = torch.randperm(USERS), torch.randperm(ITEMS)
    found = scores(head(Embeddings(start.users[users], start.items[items]), shares[users]))
    expected = scores(head(start, shares))[users][:, items]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@each_class
def test_same_seed_same_result_and_state_dict_round_trip(cls: type[SegmentHead]) -> None:
    heads = []
    for _ in range(2):
        torch.manual_seed(7)
        head = cls(DIM, SEGMENTS)
        randomise(head)
        heads.append(head)
    third, start, shares = cls(DIM, SEGMENTS), embeddings(), memberships()
    third.load_state_dict(heads[0].state_dict())
    expected = heads[0](start, shares)
    for head in (heads[1], third):
        assert all(map(torch.equal, head(start, shares), expected))


@each_with_parameters
def test_dropout_is_for_training_alone(cls: type[SegmentHead]) -> None:
    if "dropout" not in cls.hyperparameters():
        pytest.skip("no dropout")
    head, start, shares = cls(DIM, SEGMENTS, dropout=0.5), embeddings(), memberships()
    randomise(head)
    head.train()
    assert not torch.equal(scores(head(start, shares)), scores(head(start, shares)))
    head.eval()
    assert torch.equal(scores(head(start, shares)), scores(head(start, shares)))


@pytest.mark.parametrize(("cls", "name", "value"), wrong_hyperparameters(HEADS))
def test_hyperparameter_out_of_range(cls: type[SegmentHead], name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*\(got {value!r}\)"):
        cls(DIM, SEGMENTS, **{name: value})
    with pytest.raises(ConfigError, match=rf"^head {cls.__name__}: '{name}'.*\(got {value!r}\)"):
        HEADS.resolve({"name": cls.__name__, name: value})
