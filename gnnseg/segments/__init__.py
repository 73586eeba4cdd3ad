"""Segmenters; a bare segmenter name in YAML is a class of this module."""

from gnnseg.segments.base import Segmenter
from gnnseg.segments.choice import Choice, choose_num_segments
from gnnseg.segments.clusters import GaussianMixture, KMeans, OneSegment
from gnnseg.segments.communities import Leiden, Louvain
from gnnseg.segments.consensus import SEGMENTERS, Consensus
from gnnseg.segments.differences import Divergence
from gnnseg.segments.drift import Drift
from gnnseg.segments.lifts import Lifts

__all__ = [
    "SEGMENTERS",
    "Choice",
    "Consensus",
    "Divergence",
    "Drift",
    "GaussianMixture",
    "KMeans",
    "Leiden",
    "Lifts",
    "Louvain",
    "OneSegment",
    "Segmenter",
    "choose_num_segments",
]
