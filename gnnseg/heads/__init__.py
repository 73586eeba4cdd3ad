"""Segment heads; a bare head name in YAML is a class of this module."""

from gnnseg.components import Kind
from gnnseg.heads.base import SegmentHead
from gnnseg.heads.film import FiLM
from gnnseg.heads.lora import LoRA
from gnnseg.heads.shared import Shared

__all__ = ["HEADS", "FiLM", "LoRA", "SegmentHead", "Shared"]

HEADS: Kind[SegmentHead] = Kind("head", SegmentHead, "gnnseg.heads")
