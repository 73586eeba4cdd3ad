from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gnnseg.data import Interactions, UserData
from gnnseg.fairness import Grouping, gap, groupings
from gnnseg.seeding import numpy_rng

NOBODY = Interactions(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


def by(counts: list[int]) -> Grouping:
    names = tuple(f"g{n}" for n in range(len(counts)))
    return Grouping("it", names, np.repeat(np.arange(len(counts)), counts))


def sizes(grouping: Grouping) -> dict[str, int]:
    return {name: int((grouping.labels == n).sum()) for n, name in enumerate(grouping.names)}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([10, 20], {"g0": 10, "g1": 20}),
        ([12, 9, 30, 4], {"g0": 12, "g2": 30, "others": 13}),
        ([12, 9, 30], {"g2": 30, "others": 21}),  # a single hidden group would follow from the total
        ([50, 0, 30], {"g0": 50, "g2": 30}),
        ([3, 4], {"others": 7}),
        ([5, 40], {"others": 45}),
    ],
)
def test_small_groups_are_joined(counts: list[int], expected: dict[str, int]) -> None:
    found = by(counts).of(np.arange(sum(counts)))
    assert sizes(found) == expected


def test_of_some_users() -> None:
    found = by([20, 20, 20]).of(np.arange(5, 40), min_users=5)
    assert sizes(found) == {"g0": 15, "g1": 20}


def test_groupings() -> None:
    lengths = np.repeat([1, 2, 3, 4], 5)
    columns = {
        "gender": np.array(["f", "m", None, "f"] * 5, dtype=object),
        "age": np.arange(20.0),
        "name": np.array([f"user {n}" for n in range(20)], dtype=object),
        "same": np.ones(20),
        "score": np.array([1.0, np.nan] * 10),
        "small": np.array([1, 2] * 10),
    }
    segments = np.array([0, 1, -1, 0] * 5)
    found = {g.by: g for g in groupings(lengths, UserData(NOBODY, columns), segments, ["Drama", ""])}
    assert list(found) == ["segment", "activity", "gender", "age", "small"]
    assert sizes(found["segment"]) == {"0 Drama": 10, "1": 5, "outside": 5}
    assert sizes(found["gender"]) == {"f": 10, "m": 5, "not known": 5}
    assert sizes(found["small"]) == {"1": 10, "2": 10, "not known": 0}
    assert sum(sizes(found["activity"]).values()) == 20
    for length in range(1, 5):
        assert len(set(found["activity"].labels[lengths == length])) == 1
    assert list(sizes(found["age"]).values()) == [5, 5, 5, 5, 0]


def test_names_of_quarters_hold() -> None:
    lengths = np.random.default_rng(0).geometric(0.05, 400)
    (found,) = groupings(lengths, UserData(NOBODY))
    for number, name in enumerate(found.names[:-1]):
        own = lengths[found.labels == number]
        if "up to" in name:
            assert own.max() <= float(name.rpartition("up to ")[2])
        if "above" in name:
            assert own.min() > float(name.partition("above ")[2].partition(",")[0])
        assert len(own) > 50
    assert "not known" not in {found.names[label] for label in found.labels}


def test_equal_lengths_are_one_group() -> None:
    (found,) = groupings(np.full(30, 7), UserData(NOBODY))
    assert len(found.of(np.arange(30)).names) == 1
    assert gap(found.of(np.arange(30)), np.arange(30.0), numpy_rng(0, "t")) is None


def test_gap_against_scipy() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0, 1, 40), rng.normal(0.5, 1, 60)])
    found = gap(by([40, 60]), values, numpy_rng(0, "t"))
    assert found is not None
    assert (found["best"], found["worst"]) == ("g1", "g0")
    difference = values[40:].mean() - values[:40].mean()
    assert found["difference"] == pytest.approx(difference)
    oracle = stats.permutation_test(
        (values[:40], values[40:]), lambda a, b: b.mean() - a.mean(), n_resamples=2000, random_state=0
    )
    assert found["p"] == pytest.approx(float(oracle.pvalue), abs=0.03)
    error = np.hypot(values[:40].std() / 40**0.5, values[40:].std() / 60**0.5)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_many_equal_groups_lie_apart_by_chance_alone() -> None:
    values = np.random.default_rng(2).normal(size=300)
    found = gap(by([15] * 20), values, numpy_rng(0, "t"))
    assert found is not None
    assert found["difference"] > 0.6
    assert found["chance"] == pytest.approx(found["difference"], rel=0.35)
    assert found["p"] > 0.05
