"""Outside ids to rows and back; ids appear nowhere else inside the package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gnnseg.errors import DataError, unknown

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def id_text(name: object) -> str:
    """An outside id as text: ``1``, ``1.0`` and ``"1"`` are one id."""
    if isinstance(name, float | np.floating) and float(name).is_integer():
        return str(int(name))
    return str(name)


class IdMap:
    """The outside ids of users or items in row order; ``1``, ``1.0`` and ``"1"`` are the same id.

    Args:
        ids: One id a row, all different.
        noun: What an id names, for error messages.

    Raises:
        DataError: If an id occurs twice.
    """

    def __init__(self, ids: Iterable[object], noun: str = "id") -> None:
        self.ids: tuple[str, ...] = tuple(id_text(i) for i in ids)
        self.noun = noun
        if len(self._rows) != len(self.ids):
            raise DataError(f"{noun} ids must be unique (got {len(self.ids) - len(self._rows)} repeated)")

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, name: object) -> bool:
        return id_text(name) in self._rows

    def rows(self, names: Iterable[object]) -> IntArray:
        """Rows of the given outside ids, ``[len(names)]``.

        Raises:
            DataError: If an id is unknown; the message names the nearest one.
        """
        try:
            return np.array([self._rows[id_text(name)] for name in names], dtype=np.int64)
        except KeyError as error:
            name = error.args[0]
            if len(self) > 20_000:
                raise DataError(f"unknown {self.noun} '{name}' ({len(self)} are known)") from None
            raise DataError(unknown(self.noun, name, self.ids[:20_000])) from None

    def names(self, rows: Iterable[int]) -> list[str]:
        """Outside ids of the given rows."""
        return [self.ids[row] for row in rows]

    def take(self, rows: Sequence[int] | IntArray) -> IdMap:
        """The ids of ``rows``, ``[m]``, renumbered from zero."""
        return IdMap((self.ids[row] for row in rows), self.noun)
