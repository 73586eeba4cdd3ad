"""Where datasets come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from gnnseg.components import Component
from gnnseg.data.dataset import Dataset
from gnnseg.data.sources.problems import Problems


class Source(Component, ABC):
    """Reads a dataset, unfiltered.

    Args:
        folder: What relative paths in the hyper-parameters are relative to.
    """

    progress: Callable[[int, int | None], None] | None = None
    """Told how many bytes of a download there are and are to come, if set before ``load``."""

    distinct = False
    """Whether no pair is repeated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems = Problems()

    @abstractmethod
    def load(self, name: str) -> Dataset:
        """Read everything.

        Args:
            name: What the dataset is to be called.

        Raises:
            DataError: If a file is missing or malformed.
        """
