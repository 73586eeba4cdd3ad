"""What is wrong with tables: rows that cannot be used, and ids that do not meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gnnseg.errors import DataError

OnBadRows = Literal["error", "skip"]

KEPT = 20
"""Rows of each kind that are told apart; the others are counted."""

EXAMPLES = 5
"""Ids that are named; the others are counted."""


@dataclass
class BadRows:
    """Rows that break one rule.

    Attributes:
        rule: What they had to be.
        total: How many there are.
        first: The first of them: where each stands, and what stands there.
    """

    rule: str
    total: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Problems:
    """What a source finds wrong while it reads.

    Attributes:
        on_bad_rows: Whether the first bad row is an error, or all are left out and counted.
        bad_rows: By rule.
        unmatched: Ids that one table has and another lacks: their number and examples.
    """

    on_bad_rows: OnBadRows = "error"
    bad_rows: dict[str, BadRows] = field(default_factory=dict)
    unmatched: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Number of bad rows; a row that breaks several rules counts once."""
        return sum(bad.total for bad in self.bad_rows.values())

    @property
    def message(self) -> str:
        """The first bad row of the first kind in one line."""
        for bad in self.bad_rows.values():
            return _line(bad.first[0], bad.rule)
        return ""

    def add(self, rule: str, total: int, first: Sequence[dict[str, Any]]) -> None:
        """Note rows that break a rule, in their order.

        Args:
            rule: What they had to be, such as ``'stars' must be a finite number``.
            total: How many there are.
            first: At least the first ``KEPT`` of them: ``table``, ``row`` from 1, and ``got`` or ``line``.

        Raises:
            DataError: With the first of them, where bad rows are errors.
        """
        if not total:
            return
        if self.on_bad_rows == "error":
            raise DataError(_line(first[0], rule))
        bad = self.bad_rows.setdefault(rule, BadRows(rule))
        bad.total += total
        bad.first += first[: KEPT - len(bad.first)]

    def add_unmatched(self, table: str, lacks: str, ids: Sequence[str]) -> None:
        """Note ids that ``table`` lacks or has for nothing."""
        if ids:
            self.unmatched.append(
                {"table": table, "problem": lacks, "ids": len(ids), "examples": list(ids[:EXAMPLES])}
            )

    def counts(self) -> str:
        """Numbers by rule, in one line."""
        return ", ".join(f"{bad.total} {bad.rule}" for bad in self.bad_rows.values())


def _line(row: dict[str, Any], rule: str) -> str:
    got = f" (got {repr(row['got'])[:60]})" if "got" in row else ""
    where = f" line {row['line']}" if "line" in row else f" row {row['row']}"
    return f"{row['table']}{where}: {rule}{got}"
