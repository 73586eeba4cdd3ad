"""What to call a segment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

LONGEST_TITLE = 32
"""Characters of an item's name within the name of a segment."""


def name_segment(segment: Mapping[str, Any], taken: Set[str]) -> str:
    """The shortest name that is still free: tags or words it likes, then the item too, then its number.

    Args:
        segment: As :func:`gnnseg.segments.profiles.profiles` describes it, name left out.
        taken: Names of other segments, case folded.
    """
    for name in _candidates(segment):
        if name.casefold() not in taken:
            return name
    raise AssertionError("unreachable: numbers never end")


def _candidates(segment: Mapping[str, Any]) -> Iterator[str]:
    profile, number = segment["profile"], segment["segment"]
    tags, words = (_names(profile.get(kind, [])) for kind in ("tags", "words"))
    traits = tags + [word.capitalize() for word in words if word not in " ".join(tags).casefold()]
    titles = [_shortened(title) for title in _names(profile["likes"])]
    name = " & ".join(traits[:2]) or " & ".join(titles[:2])
    if name:
        yield name
    else:
        name = f"segment {number}"
        yield name
    if len(traits) > 2:
        yield f"{traits[0]}, {traits[1]} & {traits[2]}"
    if traits and titles:
        yield f"{name}: {titles[0]}"
    while True:
        name = f"{name} ({number})"
        yield name


def _names(entries: list[dict[str, Any]]) -> list[str]:
    return [str(entry["name"]) for entry in entries]


def _shortened(title: str) -> str:
    return title if len(title) <= LONGEST_TITLE else f"{title[: LONGEST_TITLE - 1].rstrip()}…"
