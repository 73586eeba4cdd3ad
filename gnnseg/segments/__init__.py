"""Segmenters; a bare segmenter name in YAML is a class of this module."""

from gnnseg.segments.anchored import Agglomerative
from gnnseg.segments.base import Segmenter
from gnnseg.segments.choice import Choice, choose_num_segments
from gnnseg.segments.clusters import GaussianMixture, KMeans, MiniBatchKMeans, OneSegment
from gnnseg.segments.consensus import SEGMENTERS, Consensus, Views
from gnnseg.segments.controls import Hard, Random
from gnnseg.segments.density import DBSCAN, HDBSCAN
from gnnseg.segments.differences import Divergence
from gnnseg.segments.drift import Drift
from gnnseg.segments.groups import ByActivity, ByColumn, ByTime
from gnnseg.segments.lifts import Lifts
from gnnseg.segments.modular import Leiden, Louvain
from gnnseg.segments.networks import read_partition, write_partition
from gnnseg.segments.propagation import LabelPropagation
from gnnseg.segments.scores import ScoreKMeans
from gnnseg.segments.spectral import CoClustering, Spectral

__all__ = [
    "DBSCAN",
    "HDBSCAN",
    "SEGMENTERS",
    "Agglomerative",
    "ByActivity",
    "ByColumn",
    "ByTime",
    "Choice",
    "CoClustering",
    "Consensus",
    "Divergence",
    "Drift",
    "GaussianMixture",
    "Hard",
    "KMeans",
    "LabelPropagation",
    "Leiden",
    "Lifts",
    "Louvain",
    "MiniBatchKMeans",
    "OneSegment",
    "Random",
    "ScoreKMeans",
    "Segmenter",
    "Spectral",
    "Views",
    "choose_num_segments",
    "read_partition",
    "write_partition",
]
