from __future__ import annotations

import numpy as np
import torch

from gnnseg.baselines import ItemKNN
from gnnseg.projection import MAX_USERS, projected
from gnnseg.scoring import DotProduct
from tests.runs import trained


def scorer(num_users: int) -> DotProduct:
    return DotProduct(torch.arange(num_users * 2.0).view(-1, 2), torch.randn(50, 2))


def test_vectors_with_segments_but_of_no_small_group() -> None:
    labels = np.repeat([-1, 0, 1, 2], [12, 20, 3, 8])
    found = projected(scorer(43), labels, ["Drama", "few", ""])
    assert found is not None
    users, names = found
    assert names == ["outside"] * 12 + ["0 Drama"] * 20
    np.testing.assert_array_equal(users, np.arange(64.0).reshape(32, 2))


def test_no_more_than_a_browser_draws() -> None:
    found = projected(scorer(MAX_USERS + 500), np.zeros(MAX_USERS + 500, dtype=np.int64), ["all"])
    assert found is not None
    assert len(found[0]) == len(found[1]) == MAX_USERS
    assert len(np.unique(found[0][:, 0])) == MAX_USERS


def test_without_vectors() -> None:
    graph = trained().data.graph
    assert projected(ItemKNN().fit(graph), np.zeros(graph.num_users, dtype=np.int64), ["all"]) is None
