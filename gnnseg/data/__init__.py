"""Interactions, outside ids, filters, splits and where data come from."""

from gnnseg.data.dataset import Dataset
from gnnseg.data.filters import Filters
from gnnseg.data.ids import IdMap
from gnnseg.data.interactions import Interactions
from gnnseg.data.sources import SOURCES, Source, from_frames
from gnnseg.data.splits import SPLITS, Parts, Split
from gnnseg.data.user_data import UserData

__all__ = [
    "SOURCES",
    "SPLITS",
    "Dataset",
    "Filters",
    "IdMap",
    "Interactions",
    "Parts",
    "Source",
    "Split",
    "UserData",
    "from_frames",
]
