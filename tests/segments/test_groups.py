from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from gnnseg.data import Interactions, UserData
from gnnseg.errors import ConfigError, DataError
from gnnseg.segments import ByActivity, ByColumn, ByTime, Segmenter
from gnnseg.segments.groups import borders, values_of
from tests.segments.planted import Planted, embeddings_of, fit, graph_of, plant


def with_lengths(lengths: list[int]) -> Planted:
    links = np.arange(max(lengths)) < np.array(lengths)[:, None]
    vectors = np.stack([np.cos(np.arange(len(lengths))), np.sin(np.arange(len(lengths)))], axis=1)
    return Planted(graph_of(links), embeddings_of(vectors), np.zeros(len(lengths)))


def test_activity_in_quantiles() -> None:
    lengths = np.random.default_rng(0).permutation(np.arange(1, 61))
    segmenter = fit(ByActivity(num_segments=4, softness=0), with_lengths(lengths.tolist()))
    assert segmenter.labels.tolist() == ((lengths - 1) // 15).tolist()
    assert set(segmenter.memberships.flatten().tolist()) == {0.0, 1.0}


def test_activity_is_soft_at_borders() -> None:
    lengths = np.arange(1, 61)
    segmenter = fit(ByActivity(num_segments=3, softness=0.2), with_lengths(lengths.tolist()))
    x = np.log1p(lengths)
    at = [(np.log1p(20) + np.log1p(21)) / 2, (np.log1p(40) + np.log1p(41)) / 2]
    above = [1 / (1 + np.exp(-(x - border) / (0.2 * x.std()))) for border in at]
    expected = np.stack([1 - above[0], above[0] - above[1], above[1]], axis=1)
    np.testing.assert_allclose(segmenter.memberships.numpy(), expected, atol=1e-6)


def test_histories_of_one_length_stay_together() -> None:
    lengths = [1] * 30 + [2] * 6 + [9] * 4
    segmenter = fit(ByActivity(num_segments=4, softness=0), with_lengths(lengths))
    assert segmenter.labels.tolist() == [0] * 30 + [1] * 10
    assert fit(ByActivity(), with_lengths([3] * 12)).num_segments == 1


def test_time_windows_hold_equally_many_interactions() -> None:
    rng = np.random.default_rng(0)
    times = rng.permutation(400) * 7
    users = rng.integers(20, size=400)
    segmenter = ByTime(num_segments=4).fit(
        graph_of(np.ones((20, 3))),
        embeddings_of(rng.standard_normal((20, 4))),
        rng,
        UserData(Interactions(users, users * 0, times=times)),
    )
    counts = np.zeros((20, 4))
    np.add.at(counts, (users, times // 700), 1)
    assert counts.sum(0).tolist() == [100] * 4
    expected = counts / counts.sum(1, keepdims=True)
    np.testing.assert_allclose(segmenter.memberships.numpy(), expected, atol=1e-6)
    # centres are means of directions, weighed by memberships
    directions = segmenter.points(embeddings_of(np.eye(4)).users)
    assert torch.equal(directions, torch.eye(4))


def test_centres_are_means_weighed_by_memberships() -> None:
    planted = plant(noise=0.5)
    segmenter = fit(ByTime(num_segments=3, temperature=0.5), planted)
    shares = segmenter.memberships.double().numpy()
    users = planted.embeddings.users.double().numpy()
    users /= np.linalg.norm(users, axis=1, keepdims=True)
    centres = (shares.T @ users) / shares.sum(0)[:, None]
    squared = ((users[:, None] - centres) ** 2).sum(-1)
    logits = -squared / (0.5 * (shares * squared).sum(1).mean())
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(segmenter(planted.embeddings.users).numpy(), expected, atol=1e-5)


def test_users_without_interactions_have_no_time() -> None:
    planted = plant()
    train = planted.users.train
    segmenter = ByTime(num_segments=3).fit(
        planted.graph, planted.embeddings, np.random.default_rng(0), UserData(train[train.users >= 5])
    )
    torch.testing.assert_close(segmenter.memberships[:5], segmenter(planted.embeddings.users[:5]))
    assert adjusted_rand_score(segmenter.labels.numpy(), planted.groups) > 0.95


def test_interactions_without_times() -> None:
    planted = plant()
    train = planted.users.train
    with pytest.raises(DataError, match=r"ByTime needs the times of interactions; name their column"):
        ByTime().fit(
            planted.graph,
            planted.embeddings,
            np.random.default_rng(0),
            UserData(Interactions(train.users, train.items)),
        )


def by_column(columns: dict[str, Any], wanted: list[str] | None = None, **given: Any) -> Segmenter:
    planted = plant()
    data = UserData(planted.users.train, {k: np.asarray(v) for k, v in columns.items()})
    segmenter = ByColumn(columns=wanted or list(columns), **given)
    return segmenter.fit(planted.graph, planted.embeddings, np.random.default_rng(0), data)


GENDER = np.array(["F", "M", "F"] * 30, dtype=object)


def test_values_of_a_column() -> None:
    found = by_column({"gender": GENDER})
    assert found.names == ("gender F", "gender M")
    assert found.labels.tolist() == [0, 1, 0] * 30


def test_combinations_with_numbers_in_bins() -> None:
    ages = np.arange(90)
    found = by_column({"gender": GENDER, "age": ages}, num_bins=2)
    assert found.names == (
        "gender F, age 0 to 44",
        "gender F, age 45 to 89",
        "gender M, age 0 to 44",
        "gender M, age 45 to 89",
    )
    assert found.labels.tolist() == (2 * (GENDER == "M") + (ages >= 45)).tolist()


def test_small_groups_are_other() -> None:
    country = np.repeat(np.array(["de", "fr", "it", "us"], dtype=object), [50, 5, 6, 29])
    found = by_column({"country": country})
    assert found.names == ("country de", "country us", "other")
    assert found.labels.tolist() == [0] * 50 + [2] * 11 + [1] * 29
    small = by_column({"country": country}, min_users=12)
    assert small.names == ("country de", "country us")
    torch.testing.assert_close(small.memberships[50:61], small(plant().embeddings.users[50:61]))
    none = by_column({"country": country}, min_users=91)
    assert none.names == ("other",)
    assert (none.labels == 0).all()


@pytest.mark.parametrize("unknown", [None, float("nan")])
def test_values_that_are_not_known(unknown: float | None) -> None:
    gender = GENDER.copy()
    gender[[4, 8]] = unknown
    found = by_column({"gender": gender})
    assert found.names == ("gender F", "gender M")
    torch.testing.assert_close(found.memberships[[4, 8]], found(plant().embeddings.users[[4, 8]]))
    ages = np.arange(90.0)
    ages[[4, 8]] = np.nan
    found = by_column({"age": ages})
    assert len(found.names) == 4
    torch.testing.assert_close(found.memberships[[4, 8]], found(plant().embeddings.users[[4, 8]]))


def test_nothing_is_known() -> None:
    with pytest.raises(DataError, match="no user has a value in every one of gender, age"):
        by_column({"gender": [None] * 90, "age": np.arange(90)})


def test_columns_that_are_not_there() -> None:
    with pytest.raises(ConfigError, match=r"no column 'country' in the users' table \(it has gender\)"):
        by_column({"gender": GENDER}, ["country"])
    with pytest.raises(ConfigError, match=r"it has none; give the source a table of users"):
        by_column({}, ["country"])
    with pytest.raises(DataError, match=r"column 'gender' must have one value for each of the 90 users"):
        by_column({"gender": GENDER[:5]})
    with pytest.raises(ConfigError, match="'columns' must name at least one column"):
        ByColumn(columns=[])


def test_names_are_saved() -> None:
    fitted = by_column({"gender": GENDER})
    again = ByColumn(columns=["gender"])
    again.load_state_dict(fitted.state_dict())
    assert again.names == ("gender F", "gender M")


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_borders_are_those_of_polars(count: int) -> None:
    values = np.random.default_rng(count).permutation(np.arange(100.0))
    cuts = [n / count for n in range(1, count)]
    oracle = pl.Series(values).rank("ordinal").to_numpy() - 1
    expected = np.searchsorted([100 * n // count for n in range(1, count)], oracle, side="right")
    assert np.searchsorted(borders(values, count), values).tolist() == expected.tolist()
    assert len(borders(values, count)) == len(cuts)


def test_borders_never_divide_equal_values() -> None:
    assert borders(np.array([1.0, 1, 1, 2, 2, 5]), 3).tolist() == [1.5, 3.5]
    assert borders(np.array([4.0, 4, 4]), 3).tolist() == []


def test_few_numbers_are_values() -> None:
    assert values_of(np.array([1, 2, 1]), 4, "age") == ["age 1", "age 2", "age 1"]
    assert values_of(np.array([True, False]), 4, "vip") == ["vip True", "vip False"]
