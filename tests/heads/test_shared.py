from __future__ import annotations

import torch

from gnnseg.graph import Embeddings
from gnnseg.heads import Shared


def test_vectors_pass_bit_for_bit_whatever_the_memberships() -> None:
    start = Embeddings(torch.randn(5, 3) * 1e-20, torch.tensor([[-0.0, float("inf"), 1e38]]))
    for memberships in (torch.eye(5), torch.full((5, 2), float("nan"))):
        found = Shared(3, memberships.shape[1])(start, memberships)
        for given, table in zip(start, found, strict=True):
            assert table.numpy().tobytes() == given.numpy().tobytes()


def test_nothing_to_train() -> None:
    assert not list(Shared(3, 2).parameters())
