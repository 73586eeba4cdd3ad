"""Which users belong to which process, and how tables of all users are divided and put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnseg.ranks.group import Ranks

OWN_TABLES = (
    "model.encoder.users.weight",
    "model.segmenter.memberships",
    "best.encoder.users.weight",
    "best.segmenter.memberships",
)
"""Tensors of a run under way that have a row a user, besides the optimizer's."""


def divide(indptr: np.ndarray, size: int) -> list[int]:
    """Cut users into contiguous ranges of about as many edges; a range may be empty.

    Args:
        indptr: Where each user's edges begin in CSR, ``[U+1]``.
        size: Ranges, ``P``.

    Returns:
        First user of each range, then ``U``, ``P + 1`` numbers.
    """
    targets = np.arange(1, size) * (int(indptr[-1]) / size)
    above = np.clip(np.searchsorted(indptr, targets), 1, len(indptr) - 1)
    nearer = above - (targets - indptr[above - 1] < indptr[above] - targets)
    return [0, *nearer.tolist(), len(indptr) - 1]


def shares(count: int, size: int, block: int) -> list[int]:
    """Cut rows into contiguous ranges of about as many blocks; a range may be empty.

    Args:
        count: Rows.
        size: Ranges, ``P``.
        block: Rows that stay together.

    Returns:
        First row of each range, then ``count``, ``P + 1`` numbers.
    """
    blocks = -(-count // block)
    return [min(-(-rank * blocks // size) * block, count) for rank in range(size)] + [count]


@dataclass(frozen=True)
class Part:
    """The users of one process among those of all.

    Attributes:
        ranks: The processes.
        bounds: First user of each process, then ``U``, ``P + 1`` numbers.
        folder: Where the run is saved on the way, by all processes; or None.
        before: Parameters that are optimised before the users' table: those of a head.
    """

    ranks: Ranks
    bounds: list[int]
    folder: Path | None = None
    before: int = 0

    def owns(self, name: str) -> bool:
        """Whether a tensor of a run under way has a row a user."""
        slots = (f"optimizer.{self.before}.exp_avg", f"optimizer.{self.before}.exp_avg_sq")
        return name in OWN_TABLES or name in slots

    def users(self, rank: int | None = None) -> slice:
        """Rows of the users of a process; None for this one."""
        rank = self.ranks.rank if rank is None else rank
        return slice(self.bounds[rank], self.bounds[rank + 1])

    def count(self, rank: int | None = None) -> int:
        """Users of a process, ``u``; None for this one."""
        rank = self.ranks.rank if rank is None else rank
        return self.bounds[rank + 1] - self.bounds[rank]

    def scatter(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Give each process its rows of tables of users and all of the rest, by process 0.

        Args:
            tensors: In process 0, on CPU; elsewhere nothing.
        """
        ranks, found = self.ranks, {}
        shapes = {name: [str(x.dtype), *x.shape] for name, x in tensors.items()}
        for name, (kind, *shape) in ranks.tell(shapes).items():
            if not self.owns(name):
                like = torch.empty(shape, dtype=_dtype(kind))
                found[name] = ranks.share(tensors[name].contiguous() if ranks.rank == 0 else like)
                continue
            if ranks.rank == 0:
                for other in range(1, ranks.size):
                    ranks.send(tensors[name][self.users(other)], other)
                found[name] = tensors[name][self.users()].clone()
            else:
                found[name] = ranks.receive(torch.empty(self.count(), *shape[1:], dtype=_dtype(kind)), 0)
        return found

    def gather(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of :meth:`scatter` in process 0; elsewhere nothing. All must call it.

        Args:
            tensors: With the rows of this process, the same names in each.
        """
        ranks, found = self.ranks, {}
        for name, tensor in tensors.items():
            own = tensor.detach().cpu()
            if not self.owns(name):
                found[name] = own
            elif ranks.rank:
                ranks.send(own, 0)
            else:
                whole = own.new_empty(self.bounds[-1], *own.shape[1:])
                whole[self.users()] = own
                for other in range(1, ranks.size):
                    ranks.receive(whole[self.users(other)], other)
                found[name] = whole
        return found if ranks.rank == 0 else {}

    def collect(self, values: Tensor, counts: list[int]) -> Tensor:
        """Values of all processes after one another, in each of them.

        Args:
            values: Of this process, ``[n]``.
            counts: How many each process has, ``[P]``.
        """
        first = sum(counts[: self.ranks.rank])
        whole = values.new_zeros(sum(counts))
        whole[first : first + len(values)] = values
        return self.ranks.sum_(whole, "values")


def _dtype(name: str) -> Any:
    return getattr(torch, name.removeprefix("torch."))
