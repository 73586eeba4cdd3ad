"""A scorer of each kind, small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gnnseg.scoring import (
    Constant,
    DotProduct,
    Factors,
    Gated,
    GraphFilter,
    GroupNetworks,
    ItemGraph,
    LocalScorer,
    MemberItems,
    MemberLift,
    Mixture,
    Scorer,
)

USERS, ITEMS = 6, 5
rng = np.random.default_rng(3)
HISTORIES = sp.csr_matrix((rng.random((USERS, ITEMS)) < 0.5).astype(np.float32))
HISTORIES = sp.csr_matrix(HISTORIES.toarray() * np.array([[1], [1], [0], [1], [1], [1]], dtype=np.float32))
WEIGHTS = rng.normal(size=(ITEMS, ITEMS)).astype(np.float32)
SPARSE = sp.csr_matrix(np.where(rng.random((ITEMS, ITEMS)) < 0.6, WEIGHTS, 0).astype(np.float32))
COEFFICIENTS, SCALE = rng.normal(size=4), rng.random(ITEMS) + 0.5
LINKS = sp.csr_matrix(HISTORIES.toarray() * 0.4 * (rng.random((USERS, ITEMS)) + 0.1))
LINKS.sort_indices()
LEFT, RIGHT = rng.normal(size=(ITEMS, 2)), rng.normal(size=(ITEMS, 2))
MADE: dict[str, Scorer] = {
    "DotProduct": DotProduct(
        torch.from_numpy(rng.random((USERS, 3))).float(), torch.from_numpy(WEIGHTS[:, :3])
    ),
    "Constant": Constant(torch.arange(ITEMS)),
    "GraphFilter": GraphFilter.build(LINKS, COEFFICIENTS, SCALE, LEFT, RIGHT),
    "DotProduct of longer vectors": DotProduct.of(
        torch.from_numpy(rng.random((USERS, 5))).float(), torch.from_numpy(WEIGHTS[:, :5]), 3
    ),
    "GroupNetworks": GroupNetworks(
        *(torch.from_numpy(rng.normal(size=size)).float() for size in ((USERS, 3), (ITEMS, 3))),
        torch.tensor([[0.2, 0.8], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 1.0]]),
        torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 1.0]),
        *(torch.from_numpy(rng.normal(size=size)).float() for size in ((2, 3, 4), (2, 4), (2, 4), (2,))),
    ),
    "ItemGraph": ItemGraph.build(HISTORIES, WEIGHTS),
    "ItemGraph, sparse": ItemGraph.build(HISTORIES, SPARSE),
}
CONFIDENCE = 1 + 4.0 * HISTORIES.toarray()
FOLDED = [
    np.linalg.solve(
        (WEIGHTS[:, :3].T * c) @ WEIGHTS[:, :3] + 0.5 * np.eye(3), (WEIGHTS[:, :3].T * c) @ (c > 1)
    )
    for c in CONFIDENCE
]
"""Equation 4 of Hu et al. 2008 for each user, in full and in float64."""
MADE["Factors"] = Factors(
    torch.from_numpy(np.array(FOLDED)).float(), torch.from_numpy(WEIGHTS[:, :3]), torch.tensor([0.5, 4.0])
)
MADE["Mixture"] = Mixture([MADE["DotProduct"], MADE["ItemGraph"]], torch.tensor([1.0, 0.5]))
MADE["Mixture of mixtures"] = Mixture([MADE["Mixture"], MADE["GraphFilter"]], torch.tensor([1.0, 2.0]))
MEMBERSHIPS = torch.tensor(
    [[0.2, 0.8, 0.0], [1.0, 0.0, 0.0], [0.3, 0.3, 0.4], [0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
)
"""User 3 is in no segment, user 2 has no history."""
LIFT = torch.from_numpy(rng.normal(size=(ITEMS, 3))).float()
LOCAL_WEIGHTS = [
    sp.csr_matrix(np.where(rng.random((ITEMS, ITEMS)) < 0.5, rng.normal(size=(ITEMS, ITEMS)), 0))
    for _ in range(3)
]
LOCAL_WEIGHTS[1] = sp.csr_matrix((ITEMS, ITEMS))
OWN_GATES, RULE = torch.tensor([0.0, 1.0, 0.3, 2.0, 0.5, 0.0]), torch.tensor([1.5, 0.1, 1.0, 0.0, 2.0])
MADE["MemberLift"] = MemberLift(MEMBERSHIPS, LIFT)
MADE["MemberItems"] = MemberItems.build(HISTORIES, LOCAL_WEIGHTS, MEMBERSHIPS)
MADE["Gated"] = Gated(MADE["DotProduct"], MADE["MemberLift"], OWN_GATES, RULE)
MADE["Gated mixture"] = Gated(MADE["Mixture of mixtures"], MADE["MemberItems"], OWN_GATES, RULE)
LOCAL = [name for name, scorer in MADE.items() if isinstance(scorer, LocalScorer)]
GATED = [name for name, scorer in MADE.items() if isinstance(scorer, Gated)]
each_scorer = pytest.mark.parametrize("scorer", MADE.values(), ids=MADE)


def as_tensors(histories: sp.csr_matrix) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(histories.indptr).long(), torch.from_numpy(histories.indices).long()
