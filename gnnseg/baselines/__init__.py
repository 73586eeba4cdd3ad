"""Baselines; a bare baseline name in YAML is a class of this module."""

from gnnseg.baselines.als import ImplicitALS
from gnnseg.baselines.base import Baseline, ItemItem
from gnnseg.baselines.chebycf import ChebyCF
from gnnseg.baselines.ease import EASE, SparseEASE
from gnnseg.baselines.gfcf import GFCF
from gnnseg.baselines.item_knn import ItemKNN
from gnnseg.baselines.polynomial import PolynomialFilter
from gnnseg.baselines.popularity import Popularity
from gnnseg.baselines.rp3beta import RP3beta
from gnnseg.components import Kind

__all__ = [
    "BASELINES",
    "EASE",
    "GFCF",
    "Baseline",
    "ChebyCF",
    "ImplicitALS",
    "ItemItem",
    "ItemKNN",
    "PolynomialFilter",
    "Popularity",
    "RP3beta",
    "SparseEASE",
]

BASELINES: Kind[Baseline] = Kind("baseline", Baseline, "gnnseg.baselines")
