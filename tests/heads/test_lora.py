from __future__ import annotations

import pytest
import torch

from gnnseg.graph import Embeddings
from gnnseg.heads import LoRA
from tests.graphs import randomise


def test_formula_user_by_user() -> None:
    head = LoRA(6, 3, rank=2)
    randomise(head)
    users, items, memberships = torch.randn(5, 6), torch.randn(4, 6), torch.softmax(torch.randn(5, 3), 1)
    found = head(Embeddings(users, items), memberships)
    for user in range(5):
        expected = users[user].clone()
        for segment in range(3):
            expected = expected + memberships[user, segment] * (
                users[user] @ head.down[segment] @ head.up[segment]
            )
        torch.testing.assert_close(found.users[user], expected)
    assert found.items is items


@pytest.mark.parametrize("rank", [1, 3])
def test_a_segments_correction_has_its_rank(rank: int) -> None:
    head = LoRA(6, 2, rank=rank)
    randomise(head, std=1)
    memberships = torch.tensor([[1.0, 0.0]]).expand(6, -1)
    correction = head(Embeddings(torch.eye(6), torch.eye(6)), memberships).users.detach() - torch.eye(6)
    assert torch.linalg.matrix_rank(correction, atol=1e-4) == rank


def test_only_the_second_map_starts_at_zero() -> None:
    head = LoRA(64, 5, rank=8)
    assert head.down.shape == (5, 64, 8)
    assert head.up.shape == (5, 8, 64)
    assert not head.up.any()
    assert head.down.std().item() == pytest.approx(1 / 8, rel=0.05)


def test_dropout_falls_between_the_maps() -> None:
    head = LoRA(3, 1, rank=1, dropout=0.5).train()
    with torch.no_grad():
        head.down.fill_(1.0)
        head.up.fill_(1.0)
    users = torch.ones(4000, 3)
    found = head(Embeddings(users, users), torch.ones(4000, 1)).users.detach()
    assert sorted(set(found[:, 0].tolist())) == [1.0, 7.0]
    assert torch.equal(found[:, 0], found[:, 2])
    assert found.mean().item() == pytest.approx(4.0, abs=0.2)


@pytest.mark.parametrize("on", ["items", "both"])
def test_maps_of_items_segment_by_segment(on: str) -> None:
    """``sum_s p_s <h_s(u), g_s(v)>`` with every segment's vectors built, in float64."""
    head = LoRA(6, 3, on=on, rank=2)
    randomise(head)
    users, items, memberships = torch.randn(5, 6), torch.randn(4, 6), torch.softmax(torch.randn(5, 3), 1)
    found = head(Embeddings(users, items), memberships)
    assert found.users.shape == (5, 6 + 3 * 2)
    users, items, expected = users.double(), items.double(), torch.zeros(5, 4, dtype=torch.float64)
    for s in range(3):
        own = items + items @ head.item_down[s].double() @ head.item_up[s].double()
        of_users = users
        if on == "both":
            of_users = users + users @ head.down[s].double() @ head.up[s].double()
        expected += memberships[:, s : s + 1].double() * (of_users @ own.T)
    torch.testing.assert_close((found.users @ found.items.T).double(), expected, rtol=1e-4, atol=1e-5)


def test_maps_of_one_side_alone_can_say_the_same() -> None:
    users, items, memberships = torch.randn(5, 6), torch.randn(4, 6), torch.softmax(torch.randn(5, 3), 1)
    of_users, of_items = LoRA(6, 3), LoRA(6, 3, on="items")
    randomise(of_users)
    with torch.no_grad():
        of_items.item_down.copy_(of_users.up.transpose(1, 2))
        of_items.item_up.copy_(of_users.down.transpose(1, 2))
    first, second = (head(Embeddings(users, items), memberships) for head in (of_users, of_items))
    torch.testing.assert_close(
        second.users @ second.items.T, first.users @ first.items.T, rtol=1e-4, atol=1e-5
    )
