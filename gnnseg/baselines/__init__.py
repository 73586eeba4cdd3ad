"""Baselines; a bare baseline name in YAML is a class of this module."""

from gnnseg.baselines.base import Baseline
from gnnseg.baselines.ease import EASE
from gnnseg.baselines.item_knn import ItemKNN
from gnnseg.baselines.popularity import Popularity
from gnnseg.components import Kind

__all__ = ["BASELINES", "EASE", "Baseline", "ItemKNN", "Popularity"]

BASELINES: Kind[Baseline] = Kind("baseline", Baseline, "gnnseg.baselines")
