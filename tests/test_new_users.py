import numpy as np
import scipy.sparse as sp
import torch

from gnnseg.new_users import WithPrior, by_history, first_items, group_lift, popularity
from gnnseg.scoring import ItemGraph, MemberLift

TRAIN = sp.csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]], dtype=np.float32))
GROUPS = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])


def test_lift_is_the_log_ratio_of_shares() -> None:
    found = group_lift(TRAIN, GROUPS, pseudo_users=3.0)
    shares = np.array([2, 2, 1]) / 5  # three average users have 5 interactions
    for group, counts in enumerate(([2, 1, 0], [0, 1, 1])):
        together = np.array(counts) + 5 * shares
        np.testing.assert_allclose(
            found[:, group], np.log(together / together.sum() / shares), rtol=1e-4, atol=1e-5
        )


def test_many_pseudo_users_leave_no_lift() -> None:
    np.testing.assert_allclose(group_lift(TRAIN, GROUPS, pseudo_users=1e9), 0, atol=1e-6)


def test_items_of_nobody_have_finite_scores() -> None:
    train = sp.csr_matrix(np.array([[1, 0], [1, 0]], dtype=np.float32))
    assert np.isfinite(group_lift(train, np.eye(2))).all()
    assert torch.isfinite(popularity(train).score(torch.arange(2))).all()


def test_prior_is_in_spreads_of_the_scores_and_zero_is_the_whole() -> None:
    whole = popularity(TRAIN)
    prior = MemberLift(torch.eye(2), torch.tensor([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]))
    users = torch.arange(2)
    assert torch.equal(WithPrior(whole, prior, 0.0).score(users), whole.score(users))
    moved = WithPrior(whole, prior, 2.0).score(users) - whole.score(users)
    size = float(whole.score(users)[0].std(correction=0))
    torch.testing.assert_close(moved, 2 * size * torch.tensor([[0.0, 0, 1], [1, 0, 0]]))


def test_by_history_scores_what_is_known_and_nobody_has_nan() -> None:
    weights = np.array([[0, 1, 2], [3, 0, 4], [5, 6, 0]], dtype=np.float32)
    scorer = ItemGraph.build(TRAIN, weights)
    history = sp.csr_matrix(np.array([[0, 1, 1], [0, 0, 0]], dtype=np.float32))
    found = by_history(scorer, history).score(torch.arange(2))
    assert found.tolist() == [[8.0, 6.0, 4.0], [0.0, 0.0, 0.0]]


def test_first_items_of_each_user() -> None:
    users = np.array([2, 2, 2, 5, 7, 7])
    assert first_items(users, 2).tolist() == [True, True, False, True, True, True]
    assert not first_items(users, 0).any()
    assert len(first_items(users[:0], 3)) == 0
