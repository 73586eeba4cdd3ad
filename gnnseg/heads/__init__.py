"""Segment heads; a bare head name in YAML is a class of this module."""

from gnnseg.components import Kind
from gnnseg.heads.base import SegmentHead
from gnnseg.heads.experts import Experts
from gnnseg.heads.film import FiLM
from gnnseg.heads.group_mlp import GroupMLP
from gnnseg.heads.lora import LoRA
from gnnseg.heads.pruning import Pruned, prune
from gnnseg.heads.shared import Shared
from gnnseg.heads.subgraph import SubgraphPropagation

__all__ = [
    "HEADS",
    "Experts",
    "FiLM",
    "GroupMLP",
    "LoRA",
    "Pruned",
    "SegmentHead",
    "Shared",
    "SubgraphPropagation",
    "prune",
]

HEADS: Kind[SegmentHead] = Kind("head", SegmentHead, "gnnseg.heads")
