"""What is known of users beyond their links: when they interacted, and what their table says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gnnseg.data.dataset import Dataset
from gnnseg.data.interactions import Interactions
from gnnseg.errors import ConfigError, DataError


@dataclass(frozen=True)
class UserData:
    """Training interactions and the users' table, for segmenters that need more than graph and vectors.

    Attributes:
        train: Training interactions, with times where the data have them.
        columns: Columns of the users' table by name, in row order, ``[U]`` each; what is not known is None or
            NaN.
    """

    train: Interactions
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset, train: Interactions) -> UserData:
        """What a dataset says of its users; ``train`` are the training interactions alone."""
        table = dataset.user_table
        return cls(train, {} if table is None else {name: table[name].to_numpy() for name in table.columns})

    def column(self, name: str, num_users: int) -> np.ndarray:
        """One column, ``[U]``.

        Raises:
            ConfigError: If the table has no such column.
            DataError: If it has not one value a user.
        """
        if name not in self.columns:
            known = ", ".join(self.columns) or "none; give the source a table of users"
            raise ConfigError(f"no column '{name}' in the users' table (it has {known})")
        values = np.asarray(self.columns[name])
        if values.shape != (num_users,):
            raise DataError(
                f"column '{name}' must have one value for each of the {num_users} users (got {values.shape})"
            )
        return values
