"""What a segment likes more than others do."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnseg.components import PositiveFloat
from gnnseg.graph import BipartiteGraph
from gnnseg.local.base import LocalModel
from gnnseg.scoring import LocalScorer, MemberLift


class Lift(LocalModel):
    """``sum_s p_us log(q_si / q_i)``: how much likelier an item is in the user's segments than overall.

    ``q_si`` is the share of item ``i`` among the interactions of segment ``s``, a user counting by its
    membership, shrunk to the share ``q_i`` among all by a Dirichlet prior of ``prior`` interactions with an
    item of each: ``(n_si + prior) / (N_s / N n_i + prior)``. To a model that estimates log-probabilities this
    is a change of prior, as in naive Bayes; a user's own history soon says more, so gates fade with it.

    Args:
        prior: Pseudo-interactions with each item.
    """

    def __init__(self, *, prior: PositiveFloat = 10.0) -> None:
        self.prior = prior

    def fit(self, graph: BipartiteGraph, memberships: Tensor) -> LocalScorer:
        """Count."""
        members = memberships.double().cpu().numpy()
        inside = torch.from_numpy(graph.biadjacency().T @ members)  # [I, S]
        overall = graph.unstack(graph.degrees.cpu()).items.double().unsqueeze(1)
        share = inside.sum(0) / overall.sum().clamp(min=1)
        lift = torch.log((inside + self.prior) / (overall * share + self.prior))
        return MemberLift(memberships, lift.float().to(memberships.device))
