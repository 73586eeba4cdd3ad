from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gnnseg.errors import ConfigError, NotFittedError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.heads import HEADS, Experts, FiLM, GroupMLP, LoRA, SegmentHead, Shared, SubgraphPropagation
from tests.contracts.hyperparameters import wrong_hyperparameters
from tests.graphs import permuted, random_graph, randomise

USERS, ITEMS, DIM, SEGMENTS = 9, 7, 6, 3
GRAPH = random_graph(USERS, ITEMS)
CASES: dict[str, tuple[type[SegmentHead], dict[str, Any]]] = {
    "Shared": (Shared, {}),
    "FiLM": (FiLM, {}),
    "LoRA": (LoRA, {}),
    "LoRA on items": (LoRA, {"on": "items", "rank": 2}),
    "LoRA on both": (LoRA, {"on": "both", "rank": 2}),
    "Experts": (Experts, {}),
    "Experts, biases alone": (Experts, {"rank": 0}),
    "Experts without biases": (Experts, {"bias": False, "rank": 2}),
    "SubgraphPropagation": (SubgraphPropagation, {}),
    "GroupMLP": (GroupMLP, {"hidden": 5}),
    "GroupMLP alone": (GroupMLP, {"hidden": 5, "add_global": False}),
}
BOUND = [name for name, (cls, _) in CASES.items() if cls in (Experts, SubgraphPropagation)]
LEARNING = [name for name in CASES if name != "Shared"]
IDENTITIES = [name for name in CASES if name != "GroupMLP alone"]
DROPPING = [
    name
    for name, (cls, given) in CASES.items()
    if "dropout" in cls.hyperparameters() and given.get("rank") != 0  # biases alone have nothing to drop
]


def each(names: list[str] | dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", list(names))


def embeddings(dim: int = DIM) -> Embeddings:
    return Embeddings(torch.randn(USERS, dim), torch.randn(ITEMS, dim))


def memberships(segments: int = SEGMENTS) -> Tensor:
    return torch.softmax(2 * torch.randn(USERS, segments), dim=1)


def make(
    name: str, shares: Tensor, graph: BipartiteGraph = GRAPH, dim: int = DIM, **given: Any
) -> SegmentHead:
    """A head on a graph whose users have these memberships."""
    cls, own = CASES[name]
    head = cls(dim, shares.shape[1], **{**own, **given})
    head.bind(graph, shares)
    return head


def moved(name: str, shares: Tensor, graph: BipartiteGraph = GRAPH, **given: Any) -> SegmentHead:
    """A head as training leaves it."""
    head = make(name, shares, graph, **given)
    randomise(head)
    return head


def scores(head: SegmentHead, found: Embeddings) -> Tensor:
    """Of all pairs one by one, as in training, ``[U, I]``."""
    return head.product(found.users.unsqueeze(1), found.items.unsqueeze(0))


def served(head: SegmentHead, found: Embeddings) -> Tensor:
    """As a scorer has them, ``[U, I]``."""
    return head.scorer(found).score(torch.arange(len(found.users)))


def test_every_head_is_tested() -> None:
    assert {cls for cls, _ in CASES.values()} == set(HEADS.classes().values())


def test_only_heads_that_ignore_segments_have_no_parameters() -> None:
    shares = memberships()
    assert [name for name in CASES if not list(make(name, shares).parameters())] == ["Shared"]


@each(CASES)
@pytest.mark.parametrize("segments", [1, SEGMENTS])
def test_builds_with_defaults(name: str, segments: int) -> None:
    shares = torch.full((USERS, segments), 1 / segments)
    head = CASES[name][0](DIM, segments)
    head.bind(GRAPH, shares)
    randomise(head)
    found = head(embeddings(), shares)
    assert len(found.users) == USERS
    assert len(found.items) == ITEMS
    assert not head.is_dot_product or found.users.shape[1] == found.items.shape[1]
    assert scores(head, found).shape == (USERS, ITEMS)
    assert torch.isfinite(scores(head, found)).all()
    assert f"dim={DIM}, num_segments={segments}" in repr(head)


@each(CASES)
def test_what_is_served_is_what_is_trained(name: str) -> None:
    shares = memberships()
    head = moved(name, shares).eval()
    found = head(embeddings(), shares)
    torch.testing.assert_close(served(head, found), scores(head, found), rtol=1e-4, atol=1e-5)
    if head.is_dot_product:
        torch.testing.assert_close(scores(head, found), found.users @ found.items.T, rtol=1e-4, atol=1e-5)


@each(IDENTITIES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dropout", [None, 0.5])
@pytest.mark.parametrize("dim", [DIM, 64])
def test_starts_as_the_global_model_bit_for_bit(
    name: str, training: bool, dropout: float | None, dim: int
) -> None:
    given = {} if dropout is None or name not in DROPPING else {"dropout": dropout}
    start, shares = embeddings(dim), memberships()
    head = make(name, shares, dim=dim, **given).train(training)
    assert head.starts_as_global
    assert torch.equal(served(head, head(start, shares)), start.users @ start.items.T)


def test_a_head_that_starts_otherwise_says_so() -> None:
    shares = memberships()
    for name in CASES:
        assert make(name, shares).starts_as_global == (name in IDENTITIES)


@each(CASES)
@pytest.mark.parametrize("dim", [DIM, 64])
def test_users_in_no_segment_get_the_global_scores_bit_for_bit(name: str, dim: int) -> None:
    start, shares = embeddings(dim), memberships()
    shares[[2, 5]] = 0
    head = moved(name, shares, dim=dim)
    found, expected = served(head, head(start, shares)), start.users @ start.items.T
    same = (found == expected).all(1)
    if name == "Shared":
        assert same.all()
    else:
        assert same.nonzero().flatten().tolist() == [2, 5]


@each(CASES)
def test_nobody_in_any_segment(name: str) -> None:
    start, shares = embeddings(), torch.zeros(USERS, SEGMENTS)
    head = moved(name, shares)
    assert torch.equal(served(head, head(start, shares)), start.users @ start.items.T)


@each(CASES)
def test_the_given_vectors_stay_as_they_are(name: str) -> None:
    start, shares = embeddings(), memberships()
    head, copy = moved(name, shares), [table.clone() for table in start]
    served(head, head(start, shares))
    assert all(map(torch.equal, start, copy))


@each(LEARNING)
def test_gradients_reach_every_parameter(name: str) -> None:
    shares = memberships()
    head = moved(name, shares)
    scores(head, head(embeddings(), shares)).square().sum().backward()
    for key, parameter in head.named_parameters():
        assert parameter.grad is not None, key
        assert (parameter.grad.abs() > 0).all(), key


@each(LEARNING)
def test_leaves_its_start_in_one_step(name: str) -> None:
    """Zeros on both sides of a product would be a saddle that no gradient leaves."""
    start, shares = embeddings(), memberships()
    head = make(name, shares)
    before = scores(head, head(start, shares))
    before.sum().backward()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter -= 0.1 * parameter.grad
    assert not torch.allclose(scores(head, head(start, shares)), before)


@each(CASES)
def test_gradients_reach_the_encoder(name: str) -> None:
    start, shares = Embeddings(*(table.requires_grad_() for table in embeddings())), memberships()
    head = moved(name, shares)
    scores(head, head(start, shares)).square().sum().backward()
    assert all((table.grad.abs().sum(1) > 0).all() for table in start)


@each(LEARNING)
def test_memberships_change_their_own_user_alone(name: str) -> None:
    start, shares = embeddings(), memberships()
    head, other = moved(name, shares), shares.clone()
    other[4] = other[4].roll(1)
    changed = (scores(head, head(start, shares)) - scores(head, head(start, other))).abs().amax(1) > 1e-4
    assert changed.nonzero().tolist() == [[4]]


@each(LEARNING)
def test_renaming_segments_with_their_parameters_changes_nothing(name: str) -> None:
    order, start, shares = [2, 0, 1], embeddings(), memberships()
    head, other = moved(name, shares), make(name, shares[:, order])
    other.load_state_dict({key: tensor[order] for key, tensor in head.state_dict().items()})
    found = scores(other, other(start, shares[:, order]))
    torch.testing.assert_close(found, scores(head, head(start, shares)), rtol=1e-4, atol=1e-4)


@each(CASES)
def test_permuting_users_and_items_permutes_the_output(name: str) -> None:
    """Parameters of items, by their second dimension, move with them."""
    start, shares = embeddings(), memberships()
    users, items = torch.randperm(USERS), torch.randperm(ITEMS)
    head, other = (
        moved(name, shares),
        make(name, shares[users], permuted(GRAPH, users.numpy(), items.numpy())),
    )
    state = head.state_dict()
    of_items = [key for key, tensor in state.items() if tensor.dim() > 1 and tensor.shape[1] == ITEMS]
    assert bool(of_items) == name.startswith("Experts")
    other.load_state_dict(state | {key: state[key][:, items] for key in of_items})
    found = scores(other, other(Embeddings(start.users[users], start.items[items]), shares[users]))
    expected = scores(head, head(start, shares))[users][:, items]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@each(CASES)
def test_users_folded_in_are_adapted_as_all_others(name: str) -> None:
    start, shares = embeddings(), memberships()
    head = moved(name, shares).eval()
    found = head.fold_in(Embeddings(start.users[[3, 1]], start.items), shares[[3, 1]])
    torch.testing.assert_close(found, head(start, shares).users[[3, 1]])


@each(CASES)
def test_same_seed_same_result_and_state_dict_round_trip(name: str) -> None:
    heads, start, shares = [], embeddings(), memberships()
    for _ in range(2):
        torch.manual_seed(7)
        heads.append(moved(name, shares))
    third = make(name, shares)
    third.load_state_dict(heads[0].state_dict())
    expected = served(heads[0], heads[0](start, shares))
    for head in (heads[1], third):
        assert torch.equal(served(head, head(start, shares)), expected)


@each(BOUND)
def test_a_head_that_needs_the_graph_asks_for_it(name: str) -> None:
    cls, given = CASES[name]
    with pytest.raises(NotFittedError, match=f"^{cls.__name__} knows no (items|graph) yet; call bind first$"):
        cls(DIM, SEGMENTS, **given)(embeddings(), memberships())


@each(DROPPING)
def test_dropout_is_for_training_alone(name: str) -> None:
    start, shares = embeddings(), memberships()
    head = moved(name, shares, dropout=0.5).train()
    assert not torch.equal(scores(head, head(start, shares)), scores(head, head(start, shares)))
    head.eval()
    assert torch.equal(scores(head, head(start, shares)), scores(head, head(start, shares)))


@pytest.mark.parametrize(("cls", "name", "value"), wrong_hyperparameters(HEADS))
def test_hyperparameter_out_of_range(cls: type[SegmentHead], name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*\(got {value!r}\)"):
        cls(DIM, SEGMENTS, **{name: value})
    with pytest.raises(ConfigError, match=rf"^head {cls.__name__}: '{name}'.*\(got {value!r}\)"):
        HEADS.resolve({"name": cls.__name__, name: value})
