"""A small network for each group of users on the pair's vector, summed by memberships."""

from __future__ import annotations

import torch
from torch import Tensor

from gnnseg.scoring.base import Scorer

BLOCK_VALUES = 2**24
"""Hidden values held at once: 64 MiB of float32."""


class GroupNetworks(Scorer):
    """``g_u <u, v> + sum_s p_us (w_s . tanh((u * v) W_s + a_s) + b_s)``.

    Only networks of groups that a user belongs to are run; a user and a network cost ``I d h`` products.

    Args:
        users: ``[U, d]``.
        items: ``[I, d]``.
        memberships: ``p``, ``[U, S]``.
        dots: ``g``, ``[U]``.
        hidden: ``W``, ``[S, d, h]``.
        hidden_bias: ``a``, ``[S, h]``.
        output: ``w``, ``[S, h]``.
        output_bias: ``b``, ``[S]``.
    """

    users: Tensor
    items: Tensor
    memberships: Tensor
    dots: Tensor
    hidden: Tensor
    hidden_bias: Tensor
    output: Tensor
    output_bias: Tensor

    def __init__(
        self,
        users: Tensor,
        items: Tensor,
        memberships: Tensor,
        dots: Tensor,
        hidden: Tensor,
        hidden_bias: Tensor,
        output: Tensor,
        output_bias: Tensor,
    ) -> None:
        super().__init__()
        self.num_items = len(items)
        tables = {"users": users, "items": items, "memberships": memberships, "dots": dots}
        layers = {"hidden": hidden, "hidden_bias": hidden_bias, "output": output, "output_bias": output_bias}
        for name, table in (tables | layers).items():
            self.register_buffer(name, table.detach().clone(memory_format=torch.contiguous_format))

    def score(self, users: Tensor) -> Tensor:
        """``[B] -> [B, I]``."""
        scores = (self.users[users] @ self.items.T).mul_(self.dots[users].unsqueeze(1))
        step = max(1, BLOCK_VALUES // (self.num_items * self.hidden.shape[2]))
        for group, shares in enumerate(self.memberships[users].T):
            for rows in shares.nonzero().squeeze(1).split(step):
                found = self._network(group, self.users[users[rows]])
                scores.index_add_(0, rows, found.mul_(shares[rows].unsqueeze(1)))
        return scores

    def _network(self, group: int, users: Tensor) -> Tensor:
        """One group's network for vectors of users ``[b, d]`` with every item, ``[b, I]``."""
        # (u * v) W is v times W with its rows scaled by u: one product of all items and all users
        maps = (users.unsqueeze(2) * self.hidden[group]).transpose(0, 1).flatten(1)  # [d, b h]
        values = (self.items @ maps).view(self.num_items, len(users), self.hidden.shape[2])
        values += self.hidden_bias[group]
        return (values.tanh_() @ self.output[group]).T + self.output_bias[group]
