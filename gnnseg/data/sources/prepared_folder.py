"""Tables that were prepared apart from training."""

from __future__ import annotations

from pathlib import Path

from gnnseg.data.dataset import Dataset
from gnnseg.data.preparation.folder import read_folder
from gnnseg.data.sources.base import Source


class PreparedFolder(Source):
    """A folder that ``gnnseg data prepare`` made: what its tables held, filtered and sorted by user.

    The dataset is the one that the tables and the filters give, pairs in the same order, so that splits,
    training and metrics are the same bit for bit.

    Args:
        folder: What the path is relative to.
        path: The folder.
    """

    distinct = True

    def __init__(self, folder: Path, *, path: str) -> None:
        super().__init__(folder)
        self.path = folder / path

    def load(self, name: str) -> Dataset:
        """Read the folder, after its files have been compared with its manifest.

        Args:
            name: What the dataset is to be called.

        Raises:
            DataError: If it is not there, unfinished or damaged.
        """
        return read_folder(self.path, name)
