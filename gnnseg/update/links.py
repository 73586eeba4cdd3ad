"""What is new, read and put behind what a run knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy.sparse as sp

from gnnseg.checkpoint import SavedRun
from gnnseg.data import IdMap, Interactions
from gnnseg.data.sources import Table
from gnnseg.errors import ConfigError, DataError


class Grown(NamedTuple):
    """Ids and links after an update; known users and items keep their rows, new ones come behind.

    Attributes:
        users: Outside ids.
        items: Outside ids.
        train: Old and new links, ``[U', I']``.
        seen: With those of validation, ``[U', I']``.
        texts: One an item, or None.
        tags: Labels of each item, or None; those of new items come from the table of items.
        fresh: Links that are new, ``[U', I']``.
    """

    users: IdMap
    items: IdMap
    train: sp.csr_matrix
    seen: sp.csr_matrix
    texts: list[str] | None
    tags: tuple[tuple[str, ...], ...] | None
    fresh: sp.csr_matrix


class New(NamedTuple):
    """What is new, by outside id.

    Attributes:
        pairs: Columns ``user`` and ``item``, repeated pairs once.
        texts: Of items.
        tags: Labels of items.
    """

    pairs: pl.DataFrame
    texts: dict[str, str]
    tags: dict[str, tuple[str, ...]]


def read(run: SavedRun, interactions: Path, items: Path | None) -> New:
    """What is new, from tables laid out as the run's own; else with columns ``user``, ``item`` and ``text``.

    Raises:
        ConfigError: For a table of items where the run knows no texts.
        DataError: If nothing is left to add.
    """
    source, least = run.config.dataset.source, run.config.dataset.filters.min_rating
    columns: dict[str, Any] = {key: source[key] for key in ("user", "item") if key in source}
    if least is not None:
        columns["rating"] = source.get("rating")
    if items is not None:
        if run.texts is None:
            raise ConfigError("the run's own items have no texts; leave the table of items out")
        described: dict[str, Any] = {
            key: source[key] for key in ("item_id", "text", "text_join") if key in source
        }
        described = described if described.get("text") else {"text": ["text"]}
        if run.tags is not None and source.get("tags"):
            described["tags"] = source["tags"]
        columns |= described | {"items": str(items.absolute())}
    found = Table(Path("/"), interactions=str(interactions.absolute()), **columns).load(
        run.config.dataset.name
    )
    links = found.interactions
    kept = np.ones(len(links), dtype=bool) if links.weights is None else links.weights >= (least or 0)
    if not kept.any():
        raise DataError(f"'{interactions}' has no rows to add")
    users, names = found.users.names(links.users[kept]), found.items.names(links.items[kept])
    texts = {} if found.texts is None else dict(zip(found.items, found.texts, strict=True))
    tags = {} if found.tags is None else dict(zip(found.items, found.tags, strict=True))
    return New(pl.DataFrame({"user": users, "item": names}).unique(maintain_order=True), texts, tags)


def grow(run: SavedRun, new: New) -> tuple[Grown, dict[str, Any]]:
    """Ids and links with the new ones, and what was added and left out."""
    pairs, texts, tags = new
    way = run.config.encoder or run.config.new_items
    able = way is not None and run.config.text is not None and run.texts is not None
    unknown = [name for name in pairs["item"].unique(maintain_order=True) if name not in run.items]
    added = [name for name in unknown if able and texts.get(name)]
    left = len(unknown) - len(added)
    why = "without a text" if able else "this run makes no vectors of texts"
    pairs = pairs.filter(~pl.col("item").is_in([name for name in unknown if name not in set(added)]))
    new_users = [name for name in pairs["user"].unique(maintain_order=True) if name not in run.users]
    users, items = IdMap([*run.users, *new_users], "user"), IdMap([*run.items, *added], "item")
    links = Interactions(users.rows(pairs["user"]), items.rows(pairs["item"])).matrix(len(users), len(items))
    train, seen = (sp.csr_matrix(matrix, copy=True) for matrix in (run.train, run.seen))
    for matrix in (train, seen):
        matrix.resize(links.shape)
    fresh = sp.csr_matrix(links - links.multiply(train))
    fresh.eliminate_zeros()
    known = None if run.texts is None else [*run.texts, *(texts.get(name, "") for name in added)]
    labels = None if run.tags is None else (*run.tags, *(tags.get(name, ()) for name in added))
    grown = Grown(users, items, _union(train, links), _union(seen, links), known, labels, fresh)
    return grown, {
        "users_added": len(new_users),
        "items_added": len(added),
        "links_added": int(fresh.nnz),
        "items_left_out": {"count": left, "reason": why} if left else None,
    }


def _union(first: sp.csr_matrix, second: sp.csr_matrix) -> sp.csr_matrix:
    """Links of either, each once, columns sorted."""
    total = sp.csr_matrix(first + second, dtype=np.float32)
    total.sum_duplicates()
    total.data[:] = 1.0
    return total
