"""Parts to learn from, to choose on and to read once; a bare split name is a class of this module."""

from gnnseg.components import Kind
from gnnseg.data.splits.base import Parts, Split
from gnnseg.data.splits.cold import ColdItems, ColdUsers
from gnnseg.data.splits.within import Given, LeaveLastOut, Random, Temporal

__all__ = [
    "SPLITS",
    "ColdItems",
    "ColdUsers",
    "Given",
    "LeaveLastOut",
    "Parts",
    "Random",
    "Split",
    "Temporal",
]

SPLITS: Kind[Split] = Kind("split", Split, "gnnseg.data.splits")
