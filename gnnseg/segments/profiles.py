"""What the users of a segment have in common, from training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from gnnseg.disclosure import MIN_USERS
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph
from gnnseg.scoring import strongest
from gnnseg.segments.differences import check_memberships, jensen_shannon, segment_masses
from gnnseg.segments.lifts import PRIOR, Lifts, lifts
from gnnseg.segments.naming import name_segment
from gnnseg.segments.traits import tag_matrix, word_matrix

__all__ = ["MIN_USERS", "PRIOR", "merge_small", "profiles"]


def profiles(
    graph: BipartiteGraph,
    memberships: np.ndarray,
    item_names: Sequence[str],
    tags: Sequence[Sequence[str]] | None = None,
    top: int = 5,
    *,
    texts: Sequence[str] | None = None,
    vectors: np.ndarray | None = None,
    user_ids: Sequence[str] | None = None,
    min_users: int = MIN_USERS,
    level: float = 0.05,
    small: Literal["hide", "merge"] = "hide",
) -> list[dict[str, Any]]:
    """Describe each segment.

    The lift of an item is its share of the segment's interactions over its share of all, shrunk towards 1
    by 20 pseudo-interactions; a user counts by its membership. What a segment likes has a lift above 1 and
    is favoured by significantly more of its users than of all (:func:`gnnseg.segments.lifts.lifts`), what it
    avoids the contrary.

    Args:
        graph: The training graph.
        memberships: ``[U, S]``; rows sum to one, or to zero for users outside every segment.
        item_names: What to call each item, ``I`` names.
        tags: Labels of each item (genres), or None.
        top: How many items, tags, words and users to name.
        texts: A text of each item, or None.
        vectors: Of users, to find those nearest to a segment's centre, ``[U, d]``, or None.
        user_ids: Outside ids of users, to name those; or None.
        min_users: Groups of fewer users are hidden or merged; their profiles are empty and name nobody.
        level: Largest false discovery rate of what is said to be liked or avoided; 1 says all.
        small: Whether such a group is hidden, or merged into the one of the most similar items.

    Returns:
        A dict a segment: ``segment``, ``merged`` (the segments that were merged into it), ``name`` (no two
        are the same), ``users`` (whose strongest it is), ``share``, ``hidden``, ``activity`` (mean
        interactions of a user), these numbers None where hidden, and ``profile`` with ``likes`` and
        ``dislikes`` (items), ``typical`` (most frequent items), with tags ``tags`` and ``avoids``, with texts
        ``words``, with vectors and ids ``users``.

    Raises:
        ConfigError: If memberships do not fit the graph.
    """
    check_memberships(graph, memberships)
    groups = [[segment] for segment in range(memberships.shape[1])]
    if small == "merge":
        memberships, groups = merge_small(graph, memberships, min_users)
    labels = strongest(memberships)
    sizes = np.bincount(labels[labels >= 0], minlength=len(groups))
    found = {"items": lifts(graph, memberships, item_names, min_users=min_users)}
    for kind, named in (("tags", tag_matrix(tags)), ("words", word_matrix(texts))):
        if named is not None:
            found[kind] = lifts(graph, memberships, *named, min_users=min_users)
    common, _ = segment_masses(graph.biadjacency().T.tocsr(), memberships)
    links = np.diff(graph.biadjacency().indptr)
    result = []
    for segment, (first, *merged) in enumerate(groups):
        inside = labels == segment
        about: dict[str, Any] = {"segment": first, "merged": merged, "name": "", "users": int(sizes[segment])}
        about |= {"share": float(inside.mean()), "hidden": bool(sizes[segment] < max(1, min_users))}
        if about["hidden"]:
            about |= {"activity": None, "profile": {"likes": [], "dislikes": [], "typical": []}}
        else:
            profile = _tastes(found, segment, level, top)
            profile["typical"] = [item_names[item] for item in _largest(common[segment], top)]
            if vectors is not None and user_ids is not None:
                nearest = _central(vectors, memberships[:, segment], inside, top)
                profile["users"] = [user_ids[row] for row in nearest]
            about |= {"activity": float(links[inside].mean()), "profile": profile}
        result.append(about)
    _name(result)
    for about in result:
        if about["hidden"] and about["users"]:  # that a group is empty tells of nobody
            about |= {"users": None, "share": None}
    return result


def merge_small(
    graph: BipartiteGraph, memberships: np.ndarray, min_users: int = MIN_USERS
) -> tuple[np.ndarray, list[list[int]]]:
    """Add small groups to those most like them, the smallest first, until none or a single one is left.

    The most similar group is that of the least Jensen-Shannon divergence over items; without interactions
    it is the largest.

    Args:
        graph: The training graph.
        memberships: ``[U, S]``.
        min_users: Groups that are the strongest of fewer users are small.

    Returns:
        Memberships ``[U, S']``, and for each of the ``S'`` the segments it is made of, its own first.

    Raises:
        ConfigError: If memberships do not fit the graph.
    """
    check_memberships(graph, memberships)
    items = graph.biadjacency().T.tocsr()
    merged, groups = memberships.astype(np.float64), [[s] for s in range(memberships.shape[1])]
    while len(groups) > 1:
        labels = strongest(merged)
        sizes = np.bincount(labels[labels >= 0], minlength=len(groups))
        smallest = int(sizes.argmin())
        if sizes[smallest] >= min_users:
            break
        mass, _ = segment_masses(items, merged)
        distance = jensen_shannon(mass[smallest], mass)
        distance[smallest] = np.inf
        nearest = int(np.lexsort((-sizes, np.where(np.isnan(distance), 2, distance)))[0])
        merged[:, nearest] += merged[:, smallest]
        merged = np.delete(merged, smallest, axis=1)
        groups[nearest] = groups[nearest] + groups[smallest]
        del groups[smallest]
    return merged, groups


def _tastes(found: dict[str, Lifts], segment: int, level: float, top: int) -> dict[str, Any]:
    """What a segment likes and avoids."""
    profile = {
        "likes": found["items"].liked(segment, level, top),
        "dislikes": found["items"].avoided(segment, level, top),
    }
    if "tags" in found:
        profile["tags"] = found["tags"].liked(segment, level, top)
        profile["avoids"] = found["tags"].avoided(segment, level, top)
    if "words" in found:
        profile["words"] = found["words"].liked(segment, level, top)
    return profile


def _central(vectors: np.ndarray, weights: np.ndarray, inside: np.ndarray, top: int) -> np.ndarray:
    """Rows of the ``top`` users of a segment whose directions are nearest to its mean direction."""
    if len(vectors) != len(inside):
        raise ConfigError(f"'vectors' must be one a user, {len(inside)} (got {len(vectors)})")
    directions = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    rows = np.flatnonzero(inside)
    closeness = directions[rows] @ (weights @ directions)
    chosen: np.ndarray = rows[_largest(closeness, top)]
    return chosen


def _largest(values: np.ndarray, top: int) -> np.ndarray:
    """Places of the ``top`` largest values, the first of equals first."""
    return np.argsort(-values, kind="stable")[:top]


def _name(segments: list[dict[str, Any]]) -> None:
    """Give every segment a name of its own; the largest have the first choice."""
    taken: set[str] = set()
    for segment in sorted(segments, key=lambda s: -s["users"]):
        segment["name"] = name_segment(segment, taken)
        taken.add(segment["name"].casefold())
