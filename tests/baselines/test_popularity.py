from __future__ import annotations

import torch

from gnnseg.baselines import Popularity
from tests.graphs import random_graph, with_isolated


def test_number_of_users_of_each_item() -> None:
    graph = random_graph()
    counts = graph.biadjacency().toarray().sum(0).tolist()
    assert Popularity().fit(graph).score(torch.tensor([0, 5])).tolist() == [counts, counts]
    assert len(set(counts)) > 1


def test_an_item_without_users() -> None:
    assert Popularity().fit(with_isolated()).score(torch.tensor([1])).tolist() == [[2.0, 2.0, 0.0, 1.0]]
