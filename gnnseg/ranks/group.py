"""The processes that ``torchrun`` started, and what they tell one another."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from gnnseg.errors import ConfigError, TrainingError

PATIENCE = timedelta(minutes=30)
"""How long a process waits for another in work that all share; one that died is noticed at once, by its
closed connection."""

PREPARING = timedelta(hours=6)
"""How long the others wait for process 0 to tell them what is next: it may be preparing the data."""


class Ranks:
    """One of ``P`` processes that work together.

    Args:
        patience: How long to wait for another that is alive, but for :meth:`task`.

    Attributes:
        rank: Which of them this is, from 0.
        size: ``P``.
        summed: Bytes given to :meth:`sum_` so far, by what they were for.
        sent: Bytes sent to single processes so far.
    """

    def __init__(self, patience: timedelta = PATIENCE) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        self.summed: Counter[str] = Counter()
        self.sent = 0
        self._patience = patience
        self._group = dist.new_group(timeout=patience)

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
            dist.all_reduce(x, group=self._group)
        return x

    def share(self, x: Tensor) -> Tensor:
        """Put what ``x``, of any shape, is in process 0 in its place in all, and return it."""
        return self._share(x, self._group)

    def tell(self, value: Any = None) -> Any:
        """What process 0 gives, in all of them; it is sent as JSON."""
        return self._tell(value, self._group)

    def task(self, value: Any = None) -> Any:
        """As :meth:`tell`, what to do next: the others wait for it as long as process 0 may work alone."""
        return self._tell(value, dist.group.WORLD)

    def _tell(self, value: Any, group: Any) -> Any:
        text = json.dumps(value).encode() if self.rank == 0 else b""
        length = int(self._share(torch.tensor([len(text)]), group))
        sent = torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else torch.empty(length).byte()
        return json.loads(bytes(self.share(sent).tolist()))

    def _share(self, x: Tensor, group: Any) -> Tensor:
        with self._together("a table"):
            dist.broadcast(x, 0, group=group)
        return x

    def deal(self, parts: Iterable[Mapping[str, Tensor]] = ()) -> dict[str, Tensor]:
        """Give each process tensors of its own, on the CPU and of any shape and type.

        Args:
            parts: In process 0, those of each process in their order, ``P`` of them; elsewhere nothing.
        """
        own: dict[str, Tensor] = {}
        if self.rank:
            size = self.receive(torch.empty(1, dtype=torch.int64), 0)
            text = self.receive(torch.empty(int(size), dtype=torch.uint8), 0)
            for name, (kind, *shape) in json.loads(bytes(text.tolist())).items():
                own[name] = self.receive(torch.empty(shape, dtype=getattr(torch, kind)), 0)
        for other, tensors in enumerate(parts):
            if other == 0:
                own = dict(tensors)
                continue
            about = {name: [str(x.dtype).removeprefix("torch."), *x.shape] for name, x in tensors.items()}
            text = torch.frombuffer(bytearray(json.dumps(about).encode()), dtype=torch.uint8)
            for x in (torch.tensor([len(text)]), text, *tensors.values()):
                self.send(x, other)
        return own

    def pile(self, own: Tensor, lengths: Sequence[int]) -> Tensor | None:
        """Rows of all processes above one another in process 0, None elsewhere; all must call it.

        Args:
            own: Of this process, on the CPU, ``[n, ...]``.
            lengths: Rows of each process, ``[P]``.
        """
        if self.rank:
            self.send(own, 0)
            return None
        whole = own.new_empty(sum(lengths), *own.shape[1:])
        for other, rows in enumerate(whole.split(list(lengths))):
            if other:
                self.receive(rows, other)
            else:
                rows.copy_(own)
        return whole

    def send(self, x: Tensor, rank: int) -> None:
        """Send a tensor of any shape to another process, which must :meth:`receive` it."""
        if x.numel():
            with self._together("a part"):
                self.sent += x.numel() * x.element_size()
                dist.send(_bytes(x.contiguous()), rank, group=self._group)

    def receive(self, x: Tensor, rank: int) -> Tensor:
        """Fill a contiguous tensor of any shape with what another process sends, and return it."""
        if x.numel():
            with self._together("a part"):
                dist.recv(_bytes(x), rank, group=self._group)
        return x

    def close(self) -> None:
        """Let go of the others."""
        dist.destroy_process_group()

    @contextmanager
    def _together(self, what: str) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            late = "timed out" in str(error).lower()
            did = f"did not answer for {self._patience.total_seconds():.0f} s" if late else "stopped"
            raise TrainingError(
                f"process {self.rank} of {self.size} stops, as another one {did} (waiting for {what}); "
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
        dist.init_process_group("cpu:gloo,cuda:nccl" if nccl else "gloo", timeout=PREPARING)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TrainingError(f"cannot join the other processes: {reason}; start with torchrun") from error
    return Ranks()


def _bytes(x: Tensor) -> Tensor:
    """What a contiguous tensor holds, ``[numel * element_size]``; gloo does not know all types."""
    return x.view(-1).view(torch.uint8)
