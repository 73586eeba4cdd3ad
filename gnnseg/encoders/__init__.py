"""Graph encoders; a bare encoder name in YAML is a class of this module."""

from gnnseg.components import Kind
from gnnseg.encoders.base import Encoder, GraphEncoder
from gnnseg.encoders.graphsage import GraphSAGE
from gnnseg.encoders.lightgcn import LightGCN
from gnnseg.encoders.matrix_factorization import MatrixFactorization
from gnnseg.encoders.spectral_filter import SpectralFilter
from gnnseg.encoders.text_mean import TextMean

__all__ = [
    "ENCODERS",
    "Encoder",
    "GraphEncoder",
    "GraphSAGE",
    "LightGCN",
    "MatrixFactorization",
    "SpectralFilter",
    "TextMean",
]

ENCODERS: Kind[Encoder] = Kind("encoder", Encoder, "gnnseg.encoders")
