"""Who interacted with what, as parallel arrays of rows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import scipy.sparse as sp

from gnnseg.data.ids import FloatArray, IntArray
from gnnseg.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """Pairs of a user and an item.

    Attributes:
        users: Rows of users, ``[n]``.
        items: Rows of items, ``[n]``.
        weights: Ratings or counts, ``[n]``, or None.
        times: Seconds since 1970-01-01 UTC, ``[n]``, or None.

    Raises:
        DataError: If the arrays differ in length.
    """

    users: IntArray
    items: IntArray
    weights: FloatArray | None = None
    times: IntArray | None = None

    def __post_init__(self) -> None:
        lengths = {len(column) for column in self._columns().values()}
        if len(lengths) > 1:
            raise DataError(f"columns of interactions must have one length (got {sorted(lengths)})")

    def _columns(self) -> dict[str, Any]:
        return {f.name: column for f in fields(self) if (column := getattr(self, f.name)) is not None}

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, index: Any) -> Interactions:
        """The interactions at a mask or an array of positions."""
        return Interactions(**{name: column[index] for name, column in self._columns().items()})

    def __add__(self, other: Interactions) -> Interactions:
        """Both after each other; a column is kept if both have it."""
        theirs = other._columns()
        return Interactions(
            **{
                name: np.concatenate([c, theirs[name]])
                for name, c in self._columns().items()
                if name in theirs
            }
        )

    def matrix(self, num_users: int, num_items: int) -> sp.csr_matrix:
        """Binary matrix ``[U, I]`` in CSR, float32, columns sorted, repeated pairs merged."""
        ones = np.ones(len(self), dtype=np.float32)
        matrix = sp.csr_matrix((ones, (self.users, self.items)), shape=(num_users, num_items))
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        return matrix
