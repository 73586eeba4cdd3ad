"""Where datasets come from: what ``source:`` in a dataset's YAML can name."""

from gnnseg.components import Kind
from gnnseg.data.sources.adjacency import AdjacencyLists
from gnnseg.data.sources.base import Source
from gnnseg.data.sources.frames import from_frames
from gnnseg.data.sources.movielens import MovieLens
from gnnseg.data.sources.planted import Planted
from gnnseg.data.sources.prepared_folder import PreparedFolder
from gnnseg.data.sources.problems import Problems
from gnnseg.data.sources.query import Query
from gnnseg.data.sources.table import Table

__all__ = [
    "SOURCES",
    "AdjacencyLists",
    "MovieLens",
    "Planted",
    "PreparedFolder",
    "Problems",
    "Query",
    "Source",
    "Table",
    "from_frames",
]

SOURCES: Kind[Source] = Kind("source", Source, "gnnseg.data.sources")
"""The kind of component that reads a dataset."""
