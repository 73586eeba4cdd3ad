"""Local scorers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnseg.scoring import (
    LocalScorer,
)
from tests.scoring.made import (
    HISTORIES,
    LIFT,
    LOCAL,
    LOCAL_WEIGHTS,
    MEMBERSHIPS,
    USERS,
    as_tensors,
    made,
)


def test_member_lift_is_a_mean_of_segments() -> None:
    found = made("MemberLift").score(torch.tensor([4, 0, 3])).numpy()
    for row, user in enumerate([4, 0, 3]):
        expected = sum(float(MEMBERSHIPS[user, s]) * LIFT[:, s].double().numpy() for s in range(3))
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-6)


def test_member_items_is_a_mean_of_segments_at_unit_spread() -> None:
    found = made("MemberItems").score(torch.arange(USERS)).numpy()
    for user in range(USERS):
        expected = sum(
            float(MEMBERSHIPS[user, s]) * HISTORIES.toarray()[user].astype(np.float64) @ weights.toarray()
            for s, weights in enumerate(LOCAL_WEIGHTS)
        )
        deviation = expected.std()
        expected = expected / deviation if deviation > 0 else expected
        np.testing.assert_allclose(found[user], expected, rtol=1e-4, atol=1e-5)
    assert np.allclose(found[[0, 1, 4, 5]].std(1), 1)


@pytest.mark.parametrize("name", LOCAL)
def test_users_in_no_segment_get_exactly_nothing(name: str) -> None:
    scores = made(name).score(torch.arange(USERS))
    assert not scores[3].any()
    assert scores[[0, 1, 4, 5]].any(dim=1).all()


@pytest.mark.parametrize("name", LOCAL)
def test_a_local_scorer_for_others(name: str) -> None:
    """Whoever has a known user's history and memberships has that user's scores."""
    scorer, users = made(name), [4, 3, 0, 4]
    assert isinstance(scorer, LocalScorer)
    other = scorer.of(MEMBERSHIPS[users], *as_tensors(HISTORIES[users]))
    assert type(other) is type(scorer)
    torch.testing.assert_close(other.score(torch.arange(4)), scorer.score(torch.tensor(users)))
