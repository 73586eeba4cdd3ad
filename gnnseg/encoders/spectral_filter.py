"""A graph filter in the spectral basis, its response learned in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from gnnseg.components import NonNegativeFloat, PositiveInt, Probability
from gnnseg.encoders.base import Encoder, Parts, history_matrix, history_of
from gnnseg.errors import ConfigError
from gnnseg.graph import BipartiteGraph, Embeddings
from gnnseg.spectral import hold_out, normalised, right_singular

CHUNK = 2**24
"""Values of pairs' features held at once: 64 MiB of float32."""


class SpectralFilter(Encoder):
    """``(Y * (h + z_u g)) (D_i^c V)^T`` with ``Y = D_u^-a R D_i^-b V``, its response ``h, g`` learned.

    ``V`` are the top right singular vectors of ``N = D_u^-a R D_i^-b``, so this filters a user's history in
    the spectral basis of the item graph ``N^T N``, as ideal low-pass filters do (GF-CF, arXiv 2108.07567)
    with a response of ones. Here the response is learned: ``V`` is computed without a share of the edges,
    and those are predicted among all items that the user has not by ridge regression around a flat
    response, a linear system of ``2d`` unknowns. The response is then put on the basis of the whole graph.
    ``z_u`` is the standardised log degree of the user: long histories can be filtered otherwise than short
    ones. Where the held-out edges say nothing, the response stays flat.

    The response is a parameter, so that training can go on from it; with ``epochs: 0`` nothing is iterated.
    There are no free vectors of users: new ones are scored by the same formula.

    Args:
        num_users: ``U``.
        num_items: ``I``.
        item_features: ``[I, f]``, which must be None: there is no use for features here.
        dim: Singular vectors, ``d``; beyond the rank of ``N`` they are zero.
        user_exponent: ``a``.
        item_exponent: ``b``.
        output_exponent: ``c``.
        by_activity: Learn ``g``; without, it is 0.
        held_out: Share of edges that the response is learned on.
        ridge: Pull to the flat response, relative to what each vector weighs.

    Raises:
        ConfigError: If item features are given.
    """

    takes_features = False
    basis: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        item_features: Tensor | None = None,
        *,
        dim: PositiveInt = 64,
        user_exponent: NonNegativeFloat = 0.3,
        item_exponent: NonNegativeFloat = 0.3,
        output_exponent: NonNegativeFloat = 0.3,
        by_activity: bool = True,
        held_out: Probability = 0.15,
        ridge: NonNegativeFloat = 0.1,
    ) -> None:
        super().__init__(dim)
        if item_features is not None:
            raise ConfigError("SpectralFilter takes no item features; leave out 'text'")
        self.user_exponent = user_exponent
        self.item_exponent = item_exponent
        self.output_exponent = output_exponent
        self.by_activity = by_activity
        self.held_out = held_out
        self.ridge = ridge
        self.register_buffer("basis", torch.randn(num_items, dim) / num_items**0.5)
        self.response = nn.Parameter(torch.cat([torch.ones(1, dim), torch.zeros(int(by_activity), dim)]))

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Vectors of all users ``[U, d]`` and all items ``[I, d]``."""
        sides = self._sides(graph, self.basis)
        return Embeddings(self._respond(sides.coordinates, sides.activity), sides.items)

    @torch.no_grad()
    def warm_start(self, graph: BipartiteGraph) -> None:
        """Compute the basis and learn the response."""
        kept, held = hold_out(graph.biadjacency(), self.held_out)
        if held.nnz:
            part = BipartiteGraph(kept, graph.device)
            self.response.copy_(self._learn(self._sides(part, self._vectors(kept)), kept, held))
        self.basis.copy_(self._vectors(graph.biadjacency()))

    @torch.no_grad()
    def fold_in(self, graph: BipartiteGraph, histories: sp.csr_matrix) -> Tensor:
        """The same formula for new users; ``z`` stays in the range that it has among the graph's users."""
        users, items = _degrees(graph)
        history = history_matrix(histories, self.user_exponent, self.basis)
        coordinates: Tensor = history @ (self.basis * items.pow(-self.item_exponent))
        lengths = torch.from_numpy(np.maximum(histories.getnnz(axis=1), 1)).to(users).unsqueeze(1)
        return self._respond(coordinates, _standardised(lengths, users))

    @torch.no_grad()
    def parts(self, graph: BipartiteGraph, user: int) -> Parts:
        """The coordinates are a sum over the user's items, which the response weighs alike."""
        users, items = _degrees(graph)
        own = history_of(graph, user)
        added = self.basis[own] * items[own].pow(-self.item_exponent) * users[user].pow(-self.user_exponent)
        none = self.basis.new_zeros(self.dim)
        return Parts(none, self._respond(added, _standardised(users[user : user + 1], users)), none)

    def _vectors(self, matrix: sp.csr_matrix) -> Tensor:
        """``V``, ``[I, d]``."""
        _, found = right_singular(normalised(matrix, self.user_exponent, self.item_exponent), self.dim)
        found = np.pad(found, ((0, 0), (0, self.dim - found.shape[1])))
        return torch.from_numpy(found).to(self.basis)

    def _sides(self, graph: BipartiteGraph, basis: Tensor) -> _Sides:
        users, items = _degrees(graph)
        # R x is propagation between two scalings: R = D_u^1/2 (D_u^-1/2 R D_i^-1/2) D_i^1/2
        below = torch.cat(
            [basis.new_zeros(graph.num_users, self.dim), basis * items.pow(0.5 - self.item_exponent)]
        )
        above = graph.unstack(graph.propagate(below)).users * users.pow(0.5 - self.user_exponent)
        return _Sides(above, basis * items.pow(self.output_exponent), _standardised(users, users))

    def _respond(self, coordinates: Tensor, activity: Tensor) -> Tensor:
        response = self.response[0]
        return coordinates * (response + activity * self.response[1] if self.by_activity else response)

    def _learn(self, sides: _Sides, kept: sp.csr_matrix, held: sp.csr_matrix) -> Tensor:
        """The ridge regression of ``held`` on pairs that are not in ``kept``, ``[1 or 2, d]``."""
        left, right = sides.coordinates, sides.items
        if self.by_activity:
            left, right = torch.cat([left, left * sides.activity], 1), right.repeat(1, 2)
        gram = ((left.T @ left) * (right.T @ right)).double()
        whole = gram.diagonal().clone()  # of which what is left below 1e-6 is rounding
        for features in _features(kept, left, right):
            gram -= (features.T @ features).double()
        target = torch.stack([f.sum(0) for f in _features(held, left, right)]).sum(0).double()
        flat = torch.zeros_like(target)
        flat[: self.dim] = 1
        if (target.abs() <= 1e-6 * (whole * held.nnz).sqrt()).all():
            return flat.view(-1, self.dim).to(self.response)
        seen = flat @ gram @ flat
        flat *= (flat @ target) / seen if seen > 1e-6 * (flat @ whole) else 0.0
        pull = self.ridge * gram.diagonal().clamp(min=0) + 1e-9 * whole.mean()
        found: Tensor = torch.linalg.solve(gram + torch.diag(pull), target + pull * flat)
        return found.view(-1, self.dim).to(self.response)


class _Sides(NamedTuple):
    """What a score is made of: ``Y [U, d]``, ``D_i^c V [I, d]`` and ``z [U, 1]``."""

    coordinates: Tensor
    items: Tensor
    activity: Tensor


def _degrees(graph: BipartiteGraph) -> tuple[Tensor, Tensor]:
    """Degrees of users ``[U, 1]`` and items ``[I, 1]``, at least 1."""
    users, items = graph.unstack(graph.degrees.clamp(min=1).unsqueeze(1))
    return users, items


def _standardised(degrees: Tensor, among: Tensor) -> Tensor:
    """Log degrees less their mean, in standard deviations, of some users ``among`` all, ``[B, 1]``.

    Degrees beyond all others count as the nearest one: where all are alike, none may stand out.
    """
    logs = among.log()
    degrees = degrees.clamp(among.min(), among.max())
    return (degrees.log() - logs.mean()) / logs.std(correction=0).clamp(min=1e-3)


def _features(pairs: sp.csr_matrix, left: Tensor, right: Tensor) -> Iterator[Tensor]:
    """What each unknown weighs in the score of some pairs, in blocks of ``[m, unknowns]``."""
    rows = torch.from_numpy(np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))).to(left.device)
    columns = torch.from_numpy(pairs.indices).long().to(left.device)
    step = max(1, CHUNK // left.shape[1])
    for first in range(0, len(rows), step):
        yield left[rows[first : first + step]] * right[columns[first : first + step]]
