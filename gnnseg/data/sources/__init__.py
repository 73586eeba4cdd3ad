"""Where datasets come from: what ``source:`` in a dataset's YAML can name."""

from gnnseg.components import Kind
from gnnseg.data.sources.adjacency import AdjacencyLists
from gnnseg.data.sources.base import Source
from gnnseg.data.sources.movielens import MovieLens
from gnnseg.data.sources.planted import Planted
from gnnseg.data.sources.table import Table

__all__ = ["SOURCES", "AdjacencyLists", "MovieLens", "Planted", "Source", "Table"]

SOURCES: Kind[Source] = Kind("source", Source, "gnnseg.data.sources")
"""The kind of component that reads a dataset."""
