import contextlib
import math
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from gnnseg.data.interactions import Interactions
from gnnseg.errors import ConfigError
from gnnseg.evaluation import Evaluation, evaluate, evaluate_lists, segment_gap
from gnnseg.metrics import ACCURACY, beyond_accuracy
from gnnseg.scoring import Scorer
from gnnseg.seeding import numpy_rng
from gnnseg.statistics import mean_interval
from gnnseg.tracking import Task, Tracker
from tests.test_metrics import naive

ALL = [f"{name}@{k}" for name in sorted(ACCURACY) for k in (1, 3, 8)]


class Table(Scorer):
    """Scores that are written down, ``[U, I]``."""

    table: Tensor

    def __init__(self, table: np.ndarray) -> None:
        super().__init__()
        self.num_items = table.shape[1]
        self.register_buffer("table", torch.from_numpy(table.astype(np.float32)))

    def score(self, users: Tensor) -> Tensor:
        return self.table[users]


def interactions(mask: np.ndarray, shuffle: int = 0) -> Interactions:
    users, items = mask.nonzero()
    order = np.random.default_rng(shuffle).permutation(len(users))
    return Interactions(users[order], items[order])


def drawn(seed: int, num_users: int = 20, num_items: int = 15) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores without ties, what was seen, and what is to be found; every third user has nothing to find."""
    rng = np.random.default_rng(seed)
    table = rng.permutation(num_users * num_items).reshape(num_users, num_items)
    part = rng.choice(3, p=[0.5, 0.3, 0.2], size=table.shape)
    held_out = part == 2
    held_out[::3] = False
    held_out[1, np.flatnonzero(part[1] != 1)[0]] = True
    return table, part == 1, held_out


def slow(table: np.ndarray, seen: np.ndarray, held_out: np.ndarray, name: str) -> dict[int, float]:
    """One user after the other, by sorting what is left."""
    metric, k = name.split("@")
    found = {}
    for user in range(len(table)):
        own = set(np.flatnonzero(held_out[user]).tolist())
        if not own:
            continue
        left = [item for item in np.argsort(-table[user]) if not seen[user, item]][: int(k)]
        nobody = [-1] * (int(k) - len(left))
        found[user] = naive(metric, [*left, *nobody], own)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_against_one_user_after_the_other(seed: int) -> None:
    table, seen, held_out = drawn(seed)
    found = evaluate(Table(table), interactions(held_out), sp.csr_matrix(seen), ALL)
    assert list(found.per_user) == ALL
    for name in ALL:
        expected = slow(table, seen, held_out, name)
        assert found.users.tolist() == list(expected)
        np.testing.assert_allclose(found.per_user[name], list(expected.values()), rtol=1e-6, err_msg=name)
    assert found.skipped == 20 - len(found.users) >= 7
    assert found.means == {name: pytest.approx(found.per_user[name].mean()) for name in ALL}
    assert found.beyond == {}


def test_seen_items_are_never_hits() -> None:
    """Even where they are held out too, and nothing else is left to rank."""
    table = np.array([[3.0, 2.0, 1.0]])
    everything = np.array([[True, True, True]])
    found = evaluate(Table(table), interactions(everything), sp.csr_matrix(everything), ["hit@3", "recall@3"])
    assert found.means == {"hit@3": 0, "recall@3": 0}


def test_cut_off_past_the_catalogue() -> None:
    table, seen, held_out = drawn(1, num_items=6)
    names = [f"{name}@{k}" for name in sorted(ACCURACY) for k in (6, 50)]
    popularity = seen.sum(0)
    found = evaluate(Table(table), interactions(held_out), sp.csr_matrix(seen), names, popularity)
    for name in names:
        expected = list(slow(table, seen, held_out, name).values())
        np.testing.assert_allclose(found.per_user[name], expected, rtol=1e-6, err_msg=name)
    assert found.per_user["precision@50"].max() <= 6 / 50


def test_beyond_accuracy_is_of_the_longest_lists() -> None:
    table, seen, held_out = drawn(2)
    features = np.eye(15)
    found = evaluate(
        Table(table),
        interactions(held_out),
        sp.csr_matrix(seen),
        ["ndcg@1", "ndcg@4"],
        popularity=seen.sum(0),
        features=features,
    )
    users = held_out.any(1).nonzero()[0]
    lists = np.array([[i for i in np.argsort(-table[u]) if not seen[u, i]][:4] for u in users])
    assert found.beyond == pytest.approx(beyond_accuracy(lists, seen.sum(0), features))
    assert found.beyond["diversity"] == pytest.approx(1)
    assert set(found.means) == {"ndcg@1", "ndcg@4", *found.beyond}


def test_intervals() -> None:
    table, seen, held_out = drawn(3, num_users=60)
    found = evaluate(Table(table), interactions(held_out), sp.csr_matrix(seen), ["ndcg@5"])
    values = found.per_user["ndcg@5"]
    expected = mean_interval(values, numpy_rng(0, "bootstrap"))
    interval = found.intervals()["ndcg@5"]
    assert interval == {"mean": expected.mean, "low": expected.low, "high": expected.high}
    assert interval["low"] < values.mean() < interval["high"]
    assert found.intervals() == found.intervals()


def test_by_segment() -> None:
    found = Evaluation(np.array([1, 2, 5, 6]), {"hit@1": np.array([1.0, 0.0, 1.0, 0.0])})
    labels = np.array([0, 2, 0, 1, 1, 2, 2])
    first, second, third, fourth = found.by_segment(labels, 4, min_users=1)
    assert [s["segment"] for s in (first, second, third, fourth)] == [0, 1, 2, 3]
    assert [s["users"] for s in (first, second, third, fourth)] == [1, 0, 3, 0]
    assert first["metrics"]["hit@1"] == {"mean": 0, "low": 0, "high": 0}
    assert math.isnan(second["metrics"]["hit@1"]["mean"])
    assert third["metrics"]["hit@1"]["mean"] == pytest.approx(2 / 3)
    assert third["metrics"]["hit@1"]["low"] < 2 / 3 < third["metrics"]["hit@1"]["high"]


def test_small_segments_are_not_told() -> None:
    found = Evaluation(np.arange(60), {"hit@1": np.ones(60)})
    labels = np.repeat([-1, 0, 1, 2], [0, 9, 12, 39])
    told = found.by_segment(labels, 3)
    assert [s["users"] for s in told] == [None, None, 39]  # one hidden alone would follow from the total
    assert [math.isnan(s["metrics"]["hit@1"]["mean"]) for s in told] == [True, True, False]
    outside = found.by_segment(np.repeat([-1, 0, 1, 2], [3, 9, 12, 36]), 3)
    assert [s["users"] for s in outside] == [None, 12, 36]
    assert segment_gap(told, "hit@1") is None


def test_segments_add_up() -> None:
    table, seen, held_out = drawn(5, num_users=60)
    found = evaluate(Table(table), interactions(held_out), sp.csr_matrix(seen), ["recall@3"])
    segments = found.by_segment(np.random.default_rng(0).integers(3, size=60), 3)
    assert sum(s["users"] for s in segments) == len(found.users)
    together = sum(s["users"] * s["metrics"]["recall@3"]["mean"] for s in segments)
    assert together / len(found.users) == pytest.approx(found.means["recall@3"])


def segment(users: int, mean: float) -> dict[str, object]:
    return {"users": users, "metrics": {"ndcg@10": {"mean": mean}}}


def test_gap() -> None:
    segments = [segment(10, 0.5), segment(30, 0.2), segment(9, 0.9), segment(0, math.nan)]
    assert segment_gap(segments, "ndcg@10") == pytest.approx(0.3)
    assert segment_gap(segments, "ndcg@10", min_users=9) == pytest.approx(0.7)
    assert segment_gap(segments, "ndcg@10", min_users=20) is None
    assert segment_gap([], "ndcg@10") is None


@pytest.mark.parametrize("name", ["ndgc@10", "ndcg", "ndcg@0"])
def test_wrong_metric(name: str) -> None:
    table, seen, held_out = drawn(0)
    with pytest.raises(ConfigError, match="metric"):
        evaluate(Table(table), interactions(held_out), sp.csr_matrix(seen), ["hit@1", name])


def test_order_of_interactions_does_not_matter() -> None:
    table, seen, held_out = drawn(6)
    one, other = (
        evaluate(Table(table), interactions(held_out, order), sp.csr_matrix(seen), ALL) for order in (1, 2)
    )
    assert one.means == other.means
    assert np.array_equal(one.users, other.users)


class Counting(Task):
    def __init__(self) -> None:
        self.done = 0

    def advance(self, count: int = 1, **fields: float) -> None:
        self.done += count


def test_progress() -> None:
    counting, told = Counting(), []

    class Told(Tracker):
        @contextlib.contextmanager
        def task(self, name: str, total: int) -> Iterator[Task]:
            told.append((name, total))
            yield counting

    table, seen, held_out = drawn(7)
    found = evaluate(Table(table), interactions(held_out), sp.csr_matrix(seen), ["hit@1"], tracker=Told())
    assert told == [("ranking", len(found.users))]
    assert counting.done == len(found.users)


def test_lists_are_kept_and_judged_alike() -> None:
    table, seen, held_out = drawn(3)
    seen[1, :] = ~held_out[1]
    seen[1, np.flatnonzero(held_out[1])] = False
    found = evaluate(Table(table), interactions(held_out), sp.csr_matrix(seen), ["ndcg@8", "recall@3"])
    assert found.items is not None
    assert found.items.shape == (len(found.users), 8)
    left = int((~seen[1]).sum())
    own = found.items[found.users.tolist().index(1)]
    assert (own[:left] >= 0).all()
    assert (own[left:] == -1).all()
    again = evaluate_lists(found.items, interactions(held_out), seen.shape, ["ndcg@8", "recall@3"])
    for name, values in found.per_user.items():
        assert np.array_equal(values, again.per_user[name])
    worst = evaluate_lists(np.full_like(found.items, -1), interactions(held_out), seen.shape, ["recall@3"])
    assert worst.means["recall@3"] == 0
