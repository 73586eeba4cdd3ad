"""Errors that a user can cause and mend; anything else is a bug and keeps its traceback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


class GnnsegError(Exception):
    """Base of every deliberate error; the command line prints it as one line and exits 1."""


class ConfigError(GnnsegError, ValueError):
    """A configuration, option or argument that cannot be used."""


class DataError(GnnsegError, ValueError):
    """Data that is missing, malformed or too small."""


class NotFittedError(GnnsegError, RuntimeError):
    """Something was used before it had learned what it needs."""


class CheckpointError(GnnsegError):
    """A run on disk that cannot be read, written or continued."""


class TrainingError(GnnsegError, RuntimeError):
    """Training that cannot go on, such as a loss that is not finite."""


class TooLargeError(GnnsegError, MemoryError):
    """Something that does not fit into memory, found before it was tried."""


def unknown(noun: str, name: object, known: Iterable[str]) -> str:
    """Say that ``name`` is no known ``noun``, with the nearest name first or else all names."""
    names = sorted(known)
    near = get_close_matches(str(name), names, n=1, cutoff=0.5)
    if not near:
        lowered = {n.lower(): n for n in names}
        near = [lowered[m] for m in get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.5)]
    hint = (
        f"did you mean '{_cut(near[0], 80)}'?" if near else f"known: {_cut(', '.join(names), 800) or 'none'}"
    )
    return f"unknown {noun} '{_cut(str(name), 80)}'; {hint}"


def _cut(text: str, most: int) -> str:
    """A text that came from a file and may have any length, and hold line ends or worse."""
    text = "".join(letter if letter.isprintable() else " " for letter in text[: most + 1])
    return text if len(text) <= most else f"{text[: most - 3]}..."


def differences(there: Mapping[str, Any], here: Mapping[str, Any], most: int = 3) -> str:
    """Say where two nested mappings differ, by dotted key; nothing where they are equal.

    Args:
        there: What was saved.
        here: What is asked for now.
        most: Keys named; the others are counted.
    """
    old, new = _flat(there), _flat(here)
    keys = [key for key in dict.fromkeys([*new, *old]) if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    named = [f"{key} {old.get(key, _ABSENT)!r} there, {new.get(key, _ABSENT)!r} here" for key in keys[:most]]
    return "; ".join(named) + (f"; and {len(keys) - most} more" if len(keys) > most else "")


class _Absent:
    def __repr__(self) -> str:
        return "absent"


_ABSENT = _Absent()


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        inner = isinstance(value, Mapping) and value
        flat |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return flat
