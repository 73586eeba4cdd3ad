"""The processes that ``torchrun`` started, and what they tell one another."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gnnseg.errors import ConfigError, TrainingError

PATIENCE = timedelta(hours=6)
"""How long a process waits for another that is alive; one that died is noticed by its closed connection."""


class Ranks:
    """One of ``P`` processes that train together.

    Attributes:
        rank: Which of them this is, from 0.
        size: ``P``.
        summed: Bytes given to :meth:`sum_` so far, by what they were for.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self.summed: Counter[str] = Counter()

    @property
    def moved(self) -> dict[str, float]:
        """Bytes that this process sent for :meth:`sum_`, by purpose: ``2 (P-1) / P`` of what was summed.

        That is what a ring all-reduce sends (Patarasu and Yuan 2009, doi 10.1016/j.jpdc.2008.09.002), the
        least that is possible.
        """
        return {name: 2 * (self.size - 1) / self.size * count for name, count in self.summed.items()}

    def sum_(self, x: Tensor, purpose: str) -> Tensor:
        """Put the sum over all processes in the place of ``x`` of any shape, the same bits in each.

        Raises:
            TrainingError: If another process stopped.
        """
        self.summed[purpose] += x.numel() * x.element_size()
        with self._together(purpose):
            dist.all_reduce(x)
        return x

    def share(self, x: Tensor) -> Tensor:
        """Put what ``x``, of any shape, is in process 0 in its place in all, and return it."""
        with self._together("a table"):
            dist.broadcast(x, 0)
        return x

    def tell(self, value: Any = None) -> Any:
        """What process 0 gives, in all of them; it is sent as JSON."""
        text = json.dumps(value).encode() if self.rank == 0 else b""
        length = int(self.share(torch.tensor([len(text)])))
        sent = torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else torch.empty(length).byte()
        return json.loads(bytes(self.share(sent).tolist()))

    def send(self, x: Tensor, rank: int) -> None:
        """Send a tensor of any shape to another process, which must :meth:`receive` it."""
        if x.numel():
            with self._together("a part"):
                dist.send(x.contiguous(), rank)

    def receive(self, x: Tensor, rank: int) -> Tensor:
        """Fill a contiguous tensor of any shape with what another process sends, and return it."""
        if x.numel():
            with self._together("a part"):
                dist.recv(x, rank)
        return x

    def close(self) -> None:
        """Let go of the others."""
        dist.destroy_process_group()

    @contextmanager
    def _together(self, what: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise TrainingError(
                f"process {self.rank} of {self.size} stops, as another one stopped (waiting for {what}); "
                "what it said stands beside this, and --resume goes on from the last save"
            ) from error


def connect() -> Ranks | None:
    """Join the processes that ``torchrun`` started with this one; None if it started alone.

    Raises:
        ConfigError: If this build of torch has no gloo.
        TrainingError: If the others cannot be reached.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    if not dist.is_available() or not dist.is_gloo_available():
        raise ConfigError("several processes need a build of torch with gloo; start one process")
    nccl = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"cannot join the other processes: {reason}; start with torchrun") from error
    return Ranks()
