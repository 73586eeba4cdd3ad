from __future__ import annotations

import pytest
import torch

from gnnseg.graph import Embeddings
from gnnseg.heads import FiLM
from tests.graphs import randomise


def test_scale_and_shift_by_hand() -> None:
    head = FiLM(2, 2)
    with torch.no_grad():
        head.scale.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        head.shift.copy_(torch.tensor([[0.0, 5.0], [3.0, 0.0]]))
    users, items = torch.tensor([[2.0, 10.0], [2.0, 10.0], [2.0, 10.0]]), torch.eye(2)
    memberships = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    found = head(Embeddings(users, items), memberships)
    expected = torch.tensor([[4.0, 15.0], [5.0, 0.0], [4.5, 7.5]])
    torch.testing.assert_close(found.users, expected)
    assert found.items is items


def test_formula() -> None:
    head = FiLM(6, 3)
    randomise(head)
    users, memberships = torch.randn(5, 6), torch.softmax(torch.randn(5, 3), 1)
    expected = users * (1 + memberships @ head.scale) + memberships @ head.shift
    torch.testing.assert_close(head(Embeddings(users, users), memberships).users, expected)


def test_dropout_falls_on_the_correction_and_keeps_its_mean() -> None:
    head = FiLM(4, 1, dropout=0.25).train()
    with torch.no_grad():
        head.shift.fill_(3.0)
    users = torch.full((5000, 4), 10.0)
    found = head(Embeddings(users, users), torch.ones(5000, 1)).users.detach()
    assert sorted(set(found.flatten().tolist())) == [10.0, 14.0]
    assert found.mean().item() == pytest.approx(13.0, abs=0.1)
