"""One step's observed pairs and what was drawn against them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gnnseg.graph import BipartiteGraph, Embeddings

Product = Callable[[Tensor, Tensor], Tensor]
"""Vectors of users ``[..., e]`` and of items ``[..., d]`` to the scores of their pairs ``[...]``."""


def prompt(device: torch.device) -> bool:
    """Whether the host may look at results as it goes; elsewhere it would wait for the device."""
    return device.type == "cpu"


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of a step, ``B`` of them, of ``b`` users who share what is drawn for them.

    Attributes:
        graph: Where the pairs are edges.
        users: Rows of users, ``[b]``.
        place: Which of ``users`` each pair belongs to, ``[B]``.
        items: Item of each pair, ``[B]``.
        negatives: Items drawn for each of ``users``, ``[b, K]``; ``K`` is 0 where the loss wants none.
        log_q: Log of how much likelier than in a uniform draw each of them was, ``[b, K]``; None: not at all.
        product: What scores a pair by its vectors; None for the dot product.
    """

    graph: BipartiteGraph
    users: Tensor
    place: Tensor
    items: Tensor
    negatives: Tensor
    log_q: Tensor | None = None
    product: Product | None = None

    @classmethod
    def of(cls, graph: BipartiteGraph, users: Tensor, items: Tensor, product: Product | None = None) -> Batch:
        """Pairs without drawn items.

        On CPU a user of several pairs stands once in ``users``, which saves scores; elsewhere once a pair, as
        finding the different ones would make the host wait for the device.

        Args:
            graph: Where the pairs are edges.
            users: User of each pair, ``[B]``.
            items: Item of each pair, ``[B]``.
            product: What scores a pair by its vectors; None for the dot product.
        """
        if prompt(users.device):
            users, place = users.unique(return_inverse=True)
        else:
            place = torch.arange(len(users), device=users.device)
        return cls(graph, users, place, items, users.new_zeros(len(users), 0), product=product)

    def against(self, negatives: Tensor, log_q: Tensor | None = None) -> Batch:
        """The same pairs against drawn items ``[b, K]``."""
        return replace(self, negatives=negatives, log_q=log_q)

    def scores(self, tables: Embeddings) -> tuple[Tensor, Tensor]:
        """Scores of the pairs ``[B]`` and of the items drawn for their users ``[B, K]``.

        Args:
            tables: Users ``[U, d]`` and items ``[I, d]``.
        """
        user = tables.users.index_select(0, self.users)
        item = tables.items.index_select(0, self.items)
        other = tables.items.index_select(0, self.negatives.view(-1)).view(
            *self.negatives.shape, item.shape[1]
        )
        own = user.index_select(0, self.place)
        positive = (own * item).sum(-1) if self.product is None else self.product(own, item)
        return positive, self.drawn_scores(user, other).index_select(0, self.place)

    def drawn_scores(self, users: Tensor, items: Tensor) -> Tensor:
        """Scores of some items for each user: vectors ``[b, d]`` and ``[b, K, d]`` to ``[b, K]``."""
        if self.product is None:
            return torch.einsum("bkd,bd->bk", items, users)
        return self.product(users.unsqueeze(1), items)


def distinct(rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """Each different row once.

    Args:
        rows: ``[B]``.

    Returns:
        Rows in order, ``[b]``, and which of them count, ``[b]``, or None: all. On CPU they are the different
        ones; elsewhere ``b`` is ``B``, as the host would have to wait to leave out the repeated ones.
    """
    return (rows.unique(), None) if prompt(rows.device) else marked(rows)


def marked(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in order, and which of them are the first of their kind, both ``[B]``."""
    rows = rows.sort().values
    return rows, torch.cat([torch.ones_like(rows[:1], dtype=torch.bool), rows[1:] != rows[:-1]])
