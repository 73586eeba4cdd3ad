"""Graph encoders; a bare encoder name in YAML is a class of this module."""

from gnnseg.components import Kind
from gnnseg.encoders.base import GraphEncoder
from gnnseg.encoders.graphsage import GraphSAGE
from gnnseg.encoders.lightgcn import LightGCN
from gnnseg.encoders.matrix_factorization import MatrixFactorization

__all__ = ["ENCODERS", "GraphEncoder", "GraphSAGE", "LightGCN", "MatrixFactorization"]

ENCODERS: Kind[GraphEncoder] = Kind("encoder", GraphEncoder, "gnnseg.encoders")
