"""A sampler of negatives."""

from gnnseg.components import PositiveInt
from gnnseg.sampling import NegativeSampler


class WellKnown(NegativeSampler):
    """The most popular of some uniform items."""

    def __init__(self, graph, *, pool: PositiveInt = 4):
        super().__init__(graph)
        self.pool = pool

    def draw(self, batch, tables, count, generator):
        items = self.uniform(batch.users, self.pool * count, generator)
        degrees = self.graph.unstack(self.graph.degrees).items
        return items.gather(1, degrees[items].topk(count).indices)
