"""Scores of every item for some users: all that ranking, evaluation and recommendation know of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gnnseg.scoring.base import HistoryScorer, NewUsers, Scorer, csr_parts, divisor, history_pairs, spread
from gnnseg.scoring.continued import Among, Continued, Histories
from gnnseg.scoring.factors import Factors
from gnnseg.scoring.gated import MAX_GATE, Gated, Gates
from gnnseg.scoring.graph_filter import GraphFilter
from gnnseg.scoring.group_networks import GroupNetworks
from gnnseg.scoring.item_graph import ItemGraph
from gnnseg.scoring.local import LocalScorer, MemberItems, MemberLift, strongest
from gnnseg.scoring.simple import Constant, DotProduct, Known, Mixture
from gnnseg.scoring.vectors import Vectors, as_vectors, item_vectors

__all__ = [
    "MAX_GATE",
    "SCORERS",
    "Among",
    "Constant",
    "Continued",
    "DotProduct",
    "Factors",
    "Gated",
    "Gates",
    "GraphFilter",
    "GroupNetworks",
    "Histories",
    "HistoryScorer",
    "ItemGraph",
    "Known",
    "LocalScorer",
    "MemberItems",
    "MemberLift",
    "Mixture",
    "NewUsers",
    "Scorer",
    "Vectors",
    "as_vectors",
    "csr_parts",
    "divisor",
    "history_pairs",
    "item_vectors",
    "rebuild",
    "spread",
    "strongest",
]

SCORERS: dict[str, type[Scorer]] = {
    cls.__name__: cls
    for cls in (Constant, DotProduct, Factors, GraphFilter, GroupNetworks, ItemGraph, MemberItems, MemberLift)
}
"""What a run on disk can hold, by itself or in a mixture: each is built from the tensors of its state."""


def rebuild(kind: Any, state: Mapping[str, Tensor]) -> Scorer:
    """A scorer from its ``kind`` and its ``state_dict``.

    Raises:
        KeyError: For an unknown kind, or a tensor that is missing.
        TypeError: For a tensor too many, or parts that do not go together.
    """
    if isinstance(kind, str):
        return SCORERS[kind](**state)
    if isinstance(kind, list):
        parts = [rebuild(part, _under(f"scorers.{number}.", state)) for number, part in enumerate(kind)]
        return Mixture(parts, state["weights"])
    if "continued" in kind:
        whole = rebuild(kind["continued"], _under("whole.", state))
        history = Histories(**_under("history.", state), num_items=whole.num_items)
        return Continued(whole, history, *(state[name] for name in ("warm", "cold", "weights", "rule")))
    local = rebuild(kind["local"], _under("local.", state))
    if not isinstance(local, LocalScorer):
        raise TypeError(f"{kind['local']} is no local scorer")
    return Gated(rebuild(kind["whole"], _under("whole.", state)), local, state["gates"], state["rule"])


def _under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
