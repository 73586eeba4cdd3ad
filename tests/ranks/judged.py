"""Scorers of several kinds, the same in every process."""

from __future__ import annotations

import torch

from gnnseg.baselines import BASELINES
from gnnseg.prepared import Prepared
from gnnseg.scoring import DotProduct, Mixture, Scorer
from tests.runs import ITEMS, USERS

METRICS = ["recall@5", "ndcg@10"]


def scorer_of(kind: str, data: Prepared) -> Scorer:
    """A dot product with further coordinates, or a mixture of it with one that knows histories."""
    generator = torch.Generator().manual_seed(5)
    sizes = [(USERS, 4), (ITEMS, 4), (USERS, 2), (ITEMS, 2)]
    product = DotProduct(*(torch.randn(size, generator=generator) for size in sizes))
    if kind == "product":
        return product
    neighbours = BASELINES.create("ItemKNN").fit(data.graph)
    return Mixture([product, neighbours], torch.tensor([0.4, 0.6]))
