"""A segmenter and a head."""

import torch
from torch import nn

from gnnseg.components import PositiveInt
from gnnseg.graph import Embeddings
from gnnseg.heads import SegmentHead
from gnnseg.segments import Segmenter


class ByActivity(Segmenter):
    """Users by their number of items, in groups of equal size."""

    def __init__(self, *, num_segments: PositiveInt = 2):
        super().__init__()
        self.wanted = num_segments

    def fit(self, graph, embeddings, rng, users=None):
        rank = graph.degrees[: graph.num_users].argsort().argsort()
        shares = nn.functional.one_hot(rank * self.wanted // graph.num_users, self.wanted).float()
        self.learned(memberships=shares, centres=(shares.T @ embeddings.users) / shares.sum(0).unsqueeze(1))
        return self

    def forward(self, users):
        return torch.softmax(-torch.cdist(users, self.centres), dim=1)


class Stretch(SegmentHead):
    """One weight a segment and dimension."""

    def __init__(self, dim, num_segments):
        super().__init__(dim, num_segments)
        self.weight = nn.Parameter(torch.zeros(num_segments, dim))

    def forward(self, embeddings, memberships):
        return Embeddings(embeddings.users * (memberships @ self.weight).exp(), embeddings.items)
