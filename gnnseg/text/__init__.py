"""Texts to vectors: a pretrained transformer, or TF-IDF when asked for."""

from gnnseg.components import Kind
from gnnseg.text.base import TextEncoder
from gnnseg.text.tfidf import TfidfEncoder
from gnnseg.text.transformer import TransformerEncoder

__all__ = ["TEXT_ENCODERS", "TextEncoder", "TfidfEncoder", "TransformerEncoder"]

TEXT_ENCODERS: Kind[TextEncoder] = Kind("text encoder", TextEncoder, "gnnseg.text")
