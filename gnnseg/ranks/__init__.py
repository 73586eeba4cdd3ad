"""Several processes that train one model: who they are, what each owns, and the graph of one of them."""

from gnnseg.ranks.graph import RankGraph
from gnnseg.ranks.group import Ranks, connect
from gnnseg.ranks.part import Part, divide, shares

__all__ = ["Part", "RankGraph", "Ranks", "connect", "divide", "shares"]
