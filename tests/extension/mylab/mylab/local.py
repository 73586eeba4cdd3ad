"""A local model."""

import torch

from gnnseg.components import PositiveFloat
from gnnseg.local import LocalModel
from gnnseg.scoring import MemberLift


class Typical(LocalModel):
    """How much larger a share of a segment than of all users has an item."""

    def __init__(self, *, prior: PositiveFloat = 5.0):
        self.prior = prior

    def fit(self, graph, memberships):
        inside = torch.from_numpy(graph.biadjacency().T @ memberships.cpu().numpy())  # [I, S]
        overall = graph.unstack(graph.degrees).items.unsqueeze(1).cpu() / graph.num_users
        size = memberships.sum(0).cpu()
        table = (inside - overall * size) / (size + self.prior)
        return MemberLift(memberships, table.to(memberships.device))
