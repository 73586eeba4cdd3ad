"""The best items of each user over the whole catalogue: one blocked product and a top-k."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.errors import ConfigError, TooLargeError
from gnnseg.memory import out_of_memory
from gnnseg.scoring import Scorer, history_pairs

BLOCK_SCORES = 2**24
"""Scores held at once: 64 MiB of float32."""

_log = logging.getLogger(__name__)


@torch.inference_mode()
def top_k(
    scorer: Scorer,
    users: np.ndarray,
    k: int,
    seen: sp.csr_matrix | None = None,
    progress: Callable[[int], object] = lambda count: None,
    allowed: Tensor | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rank all items for each user.

    Args:
        scorer: Scores the items.
        users: Rows of users, ``[n]``.
        k: Length of a list, at most ``I``.
        seen: Items never to rank, ``[U, I]``; its rows belong to the rows of users.
        progress: Told how many users were just done.
        allowed: Mask of the only items to rank, for all users alike, ``[I]``; None for all.

    Returns:
        Rows of items ``[n, k]`` int64, best first, and their scores ``[n, k]`` float32. Where a user has
        fewer than ``k`` items left, the rest has score ``-inf``.

    Raises:
        ConfigError: If ``k`` is not between 1 and the number of items.
    """
    items = np.empty((len(users), k if k > 0 else 0), dtype=np.int64)
    scores = np.empty(items.shape, dtype=np.float32)
    done = 0
    for found, values in top_k_blocks(scorer, users, k, seen, allowed):
        part = slice(done, done + len(found))
        items[part], scores[part] = found.cpu().numpy(), values.cpu().numpy()
        progress(len(found))
        done += len(found)
    return items, scores


def top_k_blocks(
    scorer: Scorer,
    users: np.ndarray,
    k: int,
    seen: sp.csr_matrix | None = None,
    allowed: Tensor | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """As :func:`top_k` block by block, so that memory does not grow with the users.

    Yields:
        For the next ``b`` of ``users``: rows of items ``[b, k]`` int64 and scores ``[b, k]`` float32, on the
        scorer's device.

    Raises:
        ConfigError: If ``k`` is not between 1 and the number of items.
        TooLargeError: If the scores of a single user do not fit into memory.
    """
    if not 1 <= k <= scorer.num_items:
        raise ConfigError(f"'k' must be between 1 and the number of items {scorer.num_items} (got {k})")
    device = scorer.device
    pairs = None if seen is None else _csr(seen, device)
    closed = None if allowed is None else ~allowed.to(device)

    def best(some: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            found = scorer.score(some)
            if pairs is not None:
                user, item = history_pairs(*pairs, some)
                found[user, item] = -torch.inf
            if closed is not None:
                found.masked_fill_(closed, -torch.inf)
            scores, items = torch.topk(found, k)
        return items, scores

    rows = torch.from_numpy(np.asarray(users, dtype=np.int64)).to(device)
    yield from _in_blocks(best, rows, users_at_once(scorer.num_items), scorer.num_items)


def _in_blocks(
    rank: Callable[[Tensor], tuple[Tensor, Tensor]], rows: Tensor, size: int, num_items: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Rank ``size`` users at once, or fewer where memory runs out, down to one.

    Raises:
        TooLargeError: If one user is too many.
    """
    start = 0
    while start < len(rows):
        found = None
        try:
            found = rank(rows[start : start + size])
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
        if found is not None:
            yield found
            start += size
        elif size == 1:
            raise TooLargeError(
                f"the scores of one user for {num_items} items do not fit into the memory of {rows.device}; "
                "use a larger device, or --device cpu"
            )
        else:  # the error is gone by now, and what it held with it
            size //= 2
            _log.warning(
                "memory of %s ran out while ranking; going on with %d users at once", rows.device, size
            )
            if rows.device.type == "cuda":
                torch.cuda.empty_cache()


def users_at_once(num_items: int) -> int:
    """Users whose scores of ``num_items`` are held at once."""
    return max(1, BLOCK_SCORES // num_items)


def _csr(matrix: sp.csr_matrix, device: torch.device) -> tuple[Tensor, Tensor]:
    """Both index arrays as they are: of one user, nothing but its own items is read or converted."""
    return torch.from_numpy(matrix.indptr).to(device), torch.from_numpy(matrix.indices).to(device)
