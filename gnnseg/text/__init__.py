"""Texts to vectors: a pretrained transformer, TF-IDF, the years they name, or several of these."""

from gnnseg.text.base import TextEncoder
from gnnseg.text.joined import TEXT_ENCODERS, Joined
from gnnseg.text.tfidf import TfidfEncoder
from gnnseg.text.transformer import TransformerEncoder
from gnnseg.text.years import YearEncoder

__all__ = ["TEXT_ENCODERS", "Joined", "TextEncoder", "TfidfEncoder", "TransformerEncoder", "YearEncoder"]
