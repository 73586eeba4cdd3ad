"""A loss."""

from gnnseg.components import PositiveFloat
from gnnseg.losses import Loss


class Hinge(Loss):
    """Observed pairs beat drawn ones by a margin."""

    def __init__(self, *, margin: PositiveFloat = 1.0):
        super().__init__()
        self.margin = margin

    def forward(self, positive, negative):
        return (self.margin - positive.unsqueeze(1) + negative).relu().mean()
