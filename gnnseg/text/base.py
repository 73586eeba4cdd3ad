"""Texts to vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gnnseg.components import Component
from gnnseg.errors import DataError

Progress = Callable[[int], None]
"""Called with the number of texts just done."""


class TextEncoder(Component, ABC):
    """Turns texts into vectors, one row a text."""

    device: torch.device = torch.device("cpu")

    @abstractmethod
    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Tensor:
        """Vectors of the texts.

        Args:
            texts: Any number of texts; empty ones are allowed.
            progress: Told how many texts were just done.

        Returns:
            ``[len(texts), f]`` float32 on the CPU.
        """

    def describe(self) -> dict[str, Any]:
        """What the run records of the encoder: where weights came from, revision."""
        return {}


def as_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list, checked.

    Raises:
        DataError: If ``texts`` is one string, or an entry is no string or not valid Unicode.
    """
    if isinstance(texts, str):
        raise DataError("texts must be a sequence of strings (got one string); wrap it in a list")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"text {row} must be a string (got {type(text).__name__})")
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError as error:
                raise DataError(f"text {row} is not valid Unicode: {error.reason}") from None
    return list(texts)
