"""Scores of every item for some users: all that ranking, evaluation and recommendation know of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gnnseg.scoring.base import HistoryScorer, NewUsers, Scorer
from gnnseg.scoring.graph_filter import GraphFilter
from gnnseg.scoring.group_networks import GroupNetworks
from gnnseg.scoring.item_graph import ItemGraph
from gnnseg.scoring.simple import Constant, DotProduct, Mixture

__all__ = [
    "SCORERS",
    "Constant",
    "DotProduct",
    "GraphFilter",
    "GroupNetworks",
    "HistoryScorer",
    "ItemGraph",
    "Mixture",
    "NewUsers",
    "Scorer",
    "rebuild",
]

SCORERS: dict[str, type[Scorer]] = {
    cls.__name__: cls for cls in (Constant, DotProduct, GraphFilter, GroupNetworks, ItemGraph)
}
"""What a run on disk can hold, by itself or in a mixture: each is built from the tensors of its state."""


def rebuild(kind: Any, state: Mapping[str, Tensor]) -> Scorer:
    """A scorer from its ``kind`` and its ``state_dict``.

    Raises:
        KeyError: For an unknown kind, or a tensor that is missing.
        TypeError: For a tensor too many.
    """
    if isinstance(kind, str):
        return SCORERS[kind](**state)
    parts = []
    for number, part in enumerate(kind):
        prefix = f"scorers.{number}."
        own = {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
        parts.append(rebuild(part, own))
    return Mixture(parts, state["weights"])
