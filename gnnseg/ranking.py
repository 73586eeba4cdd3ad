"""The best items of each user over the whole catalogue: one blocked product and a top-k."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.errors import ConfigError
from gnnseg.scoring import Scorer

BLOCK_SCORES = 2**24
"""Scores held at once: 64 MiB of float32."""


@torch.inference_mode()
def top_k(
    scorer: Scorer,
    users: np.ndarray,
    k: int,
    seen: sp.csr_matrix | None = None,
    progress: Callable[[int], object] = lambda count: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rank all items for each user.

    Args:
        scorer: Scores the items.
        users: Rows of users, ``[n]``.
        k: Length of a list, at most ``I``.
        seen: Items never to rank, ``[U, I]``; its rows belong to the rows of users.
        progress: Told how many users were just done.

    Returns:
        Rows of items ``[n, k]`` int64, best first, and their scores ``[n, k]`` float32. Where a user has
        fewer than ``k`` items left, the rest has score ``-inf``.

    Raises:
        ConfigError: If ``k`` is not between 1 and the number of items.
    """
    if not 1 <= k <= scorer.num_items:
        raise ConfigError(f"'k' must be between 1 and the number of items {scorer.num_items} (got {k})")
    device = scorer.device
    indptr, indices = (None, None) if seen is None else _csr(seen, device)
    items = torch.empty(len(users), k, dtype=torch.int64, device=device)
    scores = torch.empty(len(users), k, dtype=torch.float32, device=device)
    block = max(1, BLOCK_SCORES // scorer.num_items)
    rows = torch.from_numpy(np.asarray(users, dtype=np.int64)).to(device)
    for start in range(0, len(users), block):
        some = rows[start : start + block]
        found = scorer.score(some)
        if indptr is not None and indices is not None:
            _mask(found, indptr, indices, some)
        scores[start : start + block], items[start : start + block] = torch.topk(found, k)
        progress(len(some))
    return items.cpu().numpy(), scores.cpu().numpy()


def _csr(matrix: sp.csr_matrix, device: torch.device) -> tuple[Tensor, Tensor]:
    parts = (torch.from_numpy(part.astype(np.int64)).to(device) for part in (matrix.indptr, matrix.indices))
    indptr, indices = parts
    return indptr, indices


def _mask(scores: Tensor, indptr: Tensor, indices: Tensor, users: Tensor) -> None:
    """Set the scores of items the users have seen to ``-inf``, in place."""
    counts = indptr[users + 1] - indptr[users]
    row = torch.repeat_interleave(counts)
    first = torch.cumsum(counts, 0) - counts
    at = torch.arange(len(row), device=row.device) + (indptr[users] - first)[row]
    scores[row, indices[at]] = -torch.inf
