"""Local models; a bare name under ``local`` in YAML is a class of this module."""

from gnnseg.components import Kind
from gnnseg.local.base import LocalModel
from gnnseg.local.items import LocalItems
from gnnseg.local.lift import Lift

__all__ = ["LOCAL_MODELS", "Lift", "LocalItems", "LocalModel"]

LOCAL_MODELS: Kind[LocalModel] = Kind("local model", LocalModel, "gnnseg.local")
