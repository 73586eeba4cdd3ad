"""A scorer as one dot product of two tables, as far as it is one."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from gnnseg.scoring.base import Scorer, spread
from gnnseg.scoring.continued import Continued
from gnnseg.scoring.gated import Gated
from gnnseg.scoring.graph_filter import GraphFilter
from gnnseg.scoring.local import MemberLift
from gnnseg.scoring.simple import Constant, DotProduct, Mixture

BLOCK_USERS = 4096
"""Users whose spread is computed at once."""


class Vectors(NamedTuple):
    """Tables whose dot products are a scorer's scores, apart from what is left out.

    Attributes:
        users: ``[U, e]`` float32.
        items: ``[I, e]`` float32.
        left_out: Parts of the scores that are no dot products of short vectors; none where it is exact.
    """

    users: Tensor
    items: Tensor
    left_out: tuple[str, ...] = ()


def as_vectors(scorer: Scorer, num_users: int) -> Vectors | None:
    """The longest exact dot product that a scorer contains.

    A mixture of dot products is one: what a user's scores are divided by, their standard deviation, belongs
    to the user's vector. So is a gated table of segments beside one.

    Args:
        scorer: Of ``U`` users.
        num_users: ``U``, which scores that are alike for everybody do not know.

    Returns:
        None where no part of it is a dot product of vectors that are shorter than the catalogue.
    """
    if isinstance(scorer, DotProduct):
        return Vectors(*_whole(scorer))
    if isinstance(scorer, Constant):
        return Vectors(scorer.items.new_ones(num_users, 1), scorer.items.unsqueeze(1))
    if isinstance(scorer, GraphFilter) and scorer.items.shape[1]:
        rows = torch.arange(num_users, device=scorer.device)
        return Vectors(scorer.low_rank(rows), scorer.items, ("the polynomial of the item graph",))
    if isinstance(scorer, Mixture):
        return _mixture(scorer, num_users)
    if isinstance(scorer, Gated):
        return _gated(scorer, num_users)
    if isinstance(scorer, Continued):
        whole = as_vectors(scorer.whole, num_users)
        return whole and whole._replace(left_out=(*whole.left_out, "what texts say of new items"))
    return None


def item_vectors(scorer: Scorer) -> Tensor | None:
    """Vectors of the items that tell how alike they are, ``[I, d]``; None where a scorer has none."""
    if isinstance(scorer, Mixture):
        found = [item_vectors(part) for part in scorer.scorers]  # type: ignore[arg-type]
        return next((vectors for vectors in found if vectors is not None), None)
    if isinstance(scorer, Gated | Continued):
        return item_vectors(scorer.whole)
    vectors = getattr(scorer, "items", None)
    return vectors if isinstance(vectors, Tensor) and vectors.ndim == 2 and vectors.shape[1] else None


def _whole(scorer: DotProduct) -> tuple[Tensor, Tensor]:
    if scorer.more_users is None or scorer.more_items is None:
        return scorer.users, scorer.items
    users = torch.cat([scorer.users, scorer.more_users], 1)
    return users, torch.cat([scorer.items, scorer.more_items], 1)


def _mixture(scorer: Mixture, num_users: int) -> Vectors | None:
    users, items, left_out = [], [], []
    for part, weight in zip(scorer.scorers, scorer.weights.tolist(), strict=True):
        if not weight:
            continue
        found = as_vectors(part, num_users)  # type: ignore[arg-type]
        if found is None:
            left_out.append(type(part).__name__)
            continue
        users.append(found.users * (weight / _spreads(found, part, num_users)))
        items.append(found.items)
        left_out += found.left_out
    return Vectors(torch.cat(users, 1), torch.cat(items, 1), tuple(left_out)) if users else None


def _gated(scorer: Gated, num_users: int) -> Vectors | None:
    whole = as_vectors(scorer.whole, num_users)
    if whole is None:
        return None
    local = scorer.local
    if not isinstance(local, MemberLift):
        return whole._replace(left_out=(*whole.left_out, type(local).__name__))
    shares = local.memberships * (_spreads(whole, scorer.whole, num_users) * scorer.gates.unsqueeze(1))
    return Vectors(
        torch.cat([whole.users, shares], 1), torch.cat([whole.items, local.lift], 1), whole.left_out
    )


def _spreads(found: Vectors, scorer: Any, num_users: int) -> Tensor:
    """Standard deviation of each user's scores, ``[U, 1]``, by the items' covariance where it tells."""
    if found.left_out:
        rows = torch.arange(num_users, device=found.users.device)
        return torch.cat([spread(scorer.score(some)) for some in rows.split(256)])
    items = found.items.double()
    covariance = torch.cov(items.T, correction=0).view(items.shape[1], items.shape[1])
    blocks = [some.double() for some in found.users.split(BLOCK_USERS)]
    variance = torch.cat([((some @ covariance) * some).sum(1, keepdim=True) for some in blocks])
    return variance.clamp(min=0).sqrt().clamp(min=1e-12).float()
