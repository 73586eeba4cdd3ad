"""How few numbers of a head do its work."""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch

from gnnseg.errors import ConfigError
from gnnseg.heads.base import SegmentHead


class Pruned(NamedTuple):
    """A head with entries set to zero, and the share of entries that are not zero."""

    head: SegmentHead
    kept: float


@torch.no_grad()
def prune(head: SegmentHead, share: float) -> Pruned:
    """Set the smallest entries of each parameter to zero (Han et al. 2015, arXiv 1506.02626, section 3.1).

    Each parameter loses the same share: its entries are compared with one another only, as the two factors of
    a low-rank map, of which one starts at random, have scales of their own.

    Args:
        head: Left as it is.
        share: Of entries to set to zero, 0 to 1; rounded down to whole entries.

    Raises:
        ConfigError: If ``share`` is out of range.
    """
    if not 0 <= share <= 1:
        raise ConfigError(f"'share' must be between 0 and 1 (got {share})")
    pruned = copy.deepcopy(head)
    for parameter in pruned.parameters():
        entries = parameter.view(-1)
        entries[entries.abs().argsort(stable=True)[: int(share * len(entries))]] = 0
    total = sum(p.numel() for p in pruned.parameters())
    kept = sum(int(p.count_nonzero()) for p in pruned.parameters())
    return Pruned(pruned, kept / total if total else 1.0)
