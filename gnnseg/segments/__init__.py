"""Segmenters; a bare segmenter name in YAML is a class of this module."""

from gnnseg.segments.base import Segmenter
from gnnseg.segments.clusters import GaussianMixture, KMeans, OneSegment
from gnnseg.segments.communities import Leiden, Louvain
from gnnseg.segments.consensus import SEGMENTERS, Consensus
from gnnseg.segments.scores import ScoreKMeans

__all__ = [
    "SEGMENTERS",
    "Consensus",
    "GaussianMixture",
    "KMeans",
    "Leiden",
    "Louvain",
    "OneSegment",
    "ScoreKMeans",
    "Segmenter",
]
