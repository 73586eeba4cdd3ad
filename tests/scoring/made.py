"""A scorer of each kind, small enough to check by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gnnseg.scoring import (
    Constant,
    Continued,
    DotProduct,
    Factors,
    Gated,
    GraphFilter,
    GroupNetworks,
    Histories,
    ItemGraph,
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
TABLES = {size: torch.from_numpy(rng.normal(size=size)).float() for size in ((USERS, 5), (ITEMS, 5))}
NETWORKS = [torch.from_numpy(rng.normal(size=size)).float() for size in ((2, 3, 4), (2, 4), (2, 4), (2,))]
GROUPS = torch.tensor([[0.2, 0.8], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.0, 1.0]])
DOTS = torch.tensor([1.0, 0.5, 1.0, 0.0, 0.0, 1.0])
CONFIDENCE = 1 + 4.0 * HISTORIES.toarray()
FOLDED = [
    np.linalg.solve(
        (WEIGHTS[:, :3].T * c) @ WEIGHTS[:, :3] + 0.5 * np.eye(3), (WEIGHTS[:, :3].T * c) @ (c > 1)
    )
    for c in CONFIDENCE
]
"""Equation 4 of Hu et al. 2008 for each user, in full and in float64."""
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
USER_TABLE, ITEM_TABLE = TABLES[USERS, 5], TABLES[ITEMS, 5]

MAKERS: dict[str, Callable[[], Scorer]] = {
    "DotProduct": lambda: DotProduct(USER_TABLE[:, :3], ITEM_TABLE[:, :3]),
    "Constant": lambda: Constant(torch.arange(ITEMS)),
    "GraphFilter": lambda: GraphFilter.build(LINKS, COEFFICIENTS, SCALE, LEFT, RIGHT),
    "DotProduct of longer vectors": lambda: DotProduct.of(USER_TABLE, ITEM_TABLE, 3),
    "GroupNetworks": lambda: GroupNetworks(USER_TABLE[:, :3], ITEM_TABLE[:, :3], GROUPS, DOTS, *NETWORKS),
    "ItemGraph": lambda: ItemGraph.build(HISTORIES, WEIGHTS),
    "ItemGraph, sparse": lambda: ItemGraph.build(HISTORIES, SPARSE),
    "Factors": lambda: Factors(
        torch.from_numpy(np.array(FOLDED)).float(),
        torch.from_numpy(WEIGHTS[:, :3]),
        torch.tensor([0.5, 4.0]),
    ),
    "Mixture": lambda: Mixture([made("DotProduct"), made("ItemGraph")], torch.tensor([1.0, 0.5])),
    "Mixture of mixtures": lambda: Mixture([made("Mixture"), made("GraphFilter")], torch.tensor([1.0, 2.0])),
    "MemberLift": lambda: MemberLift(MEMBERSHIPS, LIFT),
    "MemberItems": lambda: MemberItems.build(HISTORIES, LOCAL_WEIGHTS, MEMBERSHIPS),
    "Gated": lambda: Gated(made("DotProduct"), made("MemberLift"), OWN_GATES, RULE),
    "Gated mixture": lambda: Gated(made("Mixture of mixtures"), made("MemberItems"), OWN_GATES, RULE),
    "Continued": lambda: Continued(
        made("DotProduct"), Histories(*as_tensors(HISTORIES), ITEMS), WARM, COLD, FROM_TEXTS, PLACE
    ),
}
WARM, COLD = torch.tensor([0, 2, 3]), torch.tensor([4, 1])
FROM_TEXTS, PLACE = torch.from_numpy(WEIGHTS[:3, :2]), torch.tensor([0.7, 0.4, 0.1, -0.3, 0.8])
HISTORY = ["Constant", "GraphFilter", "ItemGraph", "ItemGraph, sparse", "Factors"]
LOCAL = ["MemberLift", "MemberItems"]
GATED = ["Gated", "Gated mixture"]
each_scorer = pytest.mark.parametrize("scorer", MAKERS, indirect=True)


def made(name: str) -> Scorer:
    """Made anew for every test, so that what makes it is tested with it."""
    return MAKERS[name]()


def as_tensors(histories: sp.csr_matrix) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(histories.indptr).long(), torch.from_numpy(histories.indices).long()
