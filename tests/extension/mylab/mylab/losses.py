"""A loss and a regularizer."""

from gnnseg.components import PositiveFloat
from gnnseg.losses import Loss
from gnnseg.regularizers import Regularizer


class Hinge(Loss):
    """Observed pairs beat drawn ones by a margin."""

    def __init__(self, *, margin: PositiveFloat = 1.0):
        super().__init__()
        self.margin = margin

    def forward(self, positive, negative):
        return (self.margin - positive.unsqueeze(1) + negative).relu().mean()


class SameMean(Regularizer):
    """Users and items around one centre."""

    def __init__(self, *, weight: PositiveFloat = 0.1):
        super().__init__()
        self.weight = weight

    def forward(self, encoder, batch):
        users, items = batch.graph.unstack(encoder.inputs())
        return self.weight * (users.mean(0) - items.mean(0)).square().sum()
