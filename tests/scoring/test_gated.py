"""A local scorer behind gates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.scoring import (
    MAX_GATE,
    Gated,
    Gates,
)
from tests.scoring.made import (
    GATED,
    HISTORIES,
    MEMBERSHIPS,
    OWN_GATES,
    RULE,
    USERS,
    as_tensors,
    made,
)


@pytest.mark.parametrize("name", GATED)
def test_gated_is_a_sum_in_standard_deviations(name: str) -> None:
    scorer, users = made(name), torch.arange(USERS)
    assert isinstance(scorer, Gated)
    whole, local = (part.score(users).double().numpy() for part in (scorer.whole, scorer.local))
    expected = whole + OWN_GATES.numpy()[:, None] * whole.std(1, keepdims=True) * local
    np.testing.assert_allclose(scorer.score(users).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(expected, whole)


@pytest.mark.parametrize("name", GATED)
def test_a_closed_gate_or_no_segment_is_exactly_global(name: str) -> None:
    scorer, users = made(name), torch.arange(USERS)
    assert isinstance(scorer, Gated)
    same = (scorer.score(users) == scorer.whole.score(users)).all(1)
    assert {0, 3, 5} <= set(same.nonzero().flatten().tolist())
    assert not same.all()


@pytest.mark.parametrize("name", GATED)
def test_gated_for_others_follows_the_rule(name: str) -> None:
    scorer, users = made(name), torch.arange(USERS)
    assert isinstance(scorer, Gated)
    found = scorer.of(scorer.whole, MEMBERSHIPS, *as_tensors(HISTORIES))
    factor = np.array([0.0, 1.0, 2.0, 0.0, 0.0, 2.0])  # of the strongest segment; none for user 3
    gates = 1.5 * factor / (1 + 0.1 * HISTORIES.getnnz(axis=1))
    np.testing.assert_allclose(found.gates.numpy(), gates, rtol=1e-6)
    again = Gated(scorer.whole, scorer.local, torch.from_numpy(gates), RULE)
    torch.testing.assert_close(found.score(users), again.score(users))


@pytest.mark.parametrize("fade", [3.0, 10.0, np.inf])
def test_gates_follow_from_length_and_segment(fade: float) -> None:
    gates = Gates(2.0, fade, np.array([0.5, 1.0]))
    lengths, members = np.array([0, 10, 10, 10]), np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.0, 0.0]])
    faded = 1.0 if fade == np.inf else 1 / (1 + 10 / fade)
    np.testing.assert_allclose(gates.of(lengths, members), [1.0, faded, 2 * faded, 0.0])
    assert gates.at(lengths, np.array([0, 0, 1, -1])).tolist() == gates.of(lengths, members).tolist()


@pytest.mark.parametrize("fade", [3.0, 30.0, 100.0, np.inf])
def test_gates_from_their_rule(fade: float) -> None:
    gates = Gates(0.7, fade, np.array([0.0, 0.5, 2.0]))
    found = Gates.from_rule(gates.rule)
    assert (found.scale, found.fade) == (gates.scale, pytest.approx(fade))
    assert found.factors.tolist() == gates.factors.tolist()


def test_a_gate_is_never_wider_than_was_measured() -> None:
    gates = Gates(20.0, 3.0, np.array([2.0, 1.0]))
    assert gates.at(np.array([0, 0, 27]), np.array([0, 1, 1])).tolist() == [MAX_GATE, MAX_GATE, 2.0]


def test_whether_gates_open() -> None:
    assert Gates(1.0, np.inf, np.array([0.0, 0.5])).opens
    assert not Gates(0.0, np.inf, np.ones(2)).opens
    assert not Gates(1.0, np.inf, np.zeros(2)).opens
