"""A graph encoder of layers from PyTorch Geometric."""

from torch import nn
from torch_geometric.nn import SAGEConv

from gnnseg.components import PositiveInt
from gnnseg.encoders import GraphEncoder


class MyGNN(GraphEncoder):
    """Residual layers of max aggregation."""

    def __init__(self, num_users, num_items, item_features=None, *, num_layers: PositiveInt = 2, **kwargs):
        super().__init__(num_users, num_items, item_features, **kwargs)
        self.layers = nn.ModuleList(SAGEConv(self.dim, self.dim, aggr="max") for _ in range(num_layers))

    def forward(self, graph):
        x = self.inputs()
        for layer in self.layers:
            x = x + layer(x, graph.edge_index).tanh()
        return graph.unstack(x)
