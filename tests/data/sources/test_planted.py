from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnnseg.data import SOURCES, Dataset
from gnnseg.data.sources import Planted
from gnnseg.errors import ConfigError, GnnsegError

SMALL: dict[str, Any] = {
    "num_users": 120,
    "num_items": 60,
    "num_groups": 3,
    "num_clusters": 6,
    "num_interactions": 8,
}


def load(**changes: Any) -> Dataset:
    return Planted(Path(), **{**SMALL, **changes}).load("small")


def groups(dataset: Dataset) -> np.ndarray:
    assert dataset.user_table is not None
    return dataset.user_table["group"].to_numpy()


def links(dataset: Dataset) -> np.ndarray:
    """Dense, ``[U, I]``."""
    return dataset.interactions.matrix(dataset.num_users, dataset.num_items).toarray()


def homes(dataset: Dataset) -> np.ndarray:
    """The group that an item is at home in, or an empty name."""
    assert dataset.tags is not None
    return np.array([tags[0] if tags else "" for tags in dataset.tags])


def at_home(dataset: Dataset) -> float:
    """The share of interactions with marked items that are with those of the user's group."""
    matrix, marked = links(dataset), homes(dataset) != ""
    own = groups(dataset)[:, None] == homes(dataset)
    return float(matrix[own].sum() / matrix[:, marked].sum())


def relations(dataset: Dataset, group: str) -> np.ndarray:
    """How often two items that are not marked go together in a group, above the diagonal."""
    matrix = links(dataset)[groups(dataset) == group][:, homes(dataset) == ""]
    counts = matrix.T @ matrix
    return counts[np.triu_indices(len(counts), 1)]


def test_sizes() -> None:
    dataset = load()
    assert (dataset.name, dataset.num_users, dataset.num_items) == ("small", 120, 60)
    assert (links(dataset).sum(1) == 8).all()  # different items
    assert len(dataset.interactions) == 120 * 8
    assert np.unique(groups(dataset), return_counts=True)[1].tolist() == [40, 40, 40]
    assert dataset.users.ids[:2] == ("u0", "u1")
    assert dataset.items.ids[:2] == ("i0", "i1")
    assert (homes(dataset) != "").sum() == 24


def test_seeds() -> None:
    first = load()
    assert load().digest == first.digest
    assert load(seed=1).digest != first.digest
    assert groups(load(seed=1)).tolist() != groups(first).tolist()


def test_signal_brings_users_to_the_items_of_their_group() -> None:
    assert at_home(load(signal=0.0, num_users=600)) == pytest.approx(1 / 3, abs=0.04)
    shares = [at_home(load(signal=signal)) for signal in (0.0, 1.0, 2.0, 4.0)]
    assert shares == sorted(shares)
    assert shares[-1] > 0.9


def test_signal_says_nothing_of_the_other_items() -> None:
    """Marked items keep their part of the interactions, whatever the signal."""
    for signal in (0.0, 3.0):
        dataset = load(signal=signal, num_users=600, num_items=120)
        marked = links(dataset)[:, homes(dataset) != ""].sum() / len(dataset.interactions)
        assert marked == pytest.approx(0.4, abs=0.05)


def test_contrast_sets_the_relations_of_groups_apart() -> None:
    def likeness(contrast: float) -> float:
        dataset = load(contrast=contrast, num_users=900, marked=0.0, num_groups=2)
        return float(np.corrcoef(relations(dataset, "g0"), relations(dataset, "g1"))[0, 1])

    assert likeness(0.0) > 0.7
    assert abs(likeness(1.0)) < 0.15
    assert 0.25 < likeness(0.25) < 0.7


def test_users_draw_from_two_clusters() -> None:
    """Who takes as many items as two of six clusters hold takes one of the 15 pairs of clusters."""
    dataset = load(outside=0.0, contrast=0.0, marked=0.0, num_users=600, num_interactions=20)
    drawn = {frozenset(np.flatnonzero(row).tolist()) for row in links(dataset)}
    assert len(drawn) == 15
    shared = {len(one & other) for one in drawn for other in drawn if one != other}
    assert shared == {0, 10}


def test_groups_divide_the_items_differently() -> None:
    dataset = load(outside=0.0, marked=0.0, num_users=600, num_interactions=20)
    drawn = [{tuple(row) for row in links(dataset)[groups(dataset) == g]} for g in ("g0", "g1", "g2")]
    assert [len(sets) for sets in drawn] == [15, 15, 15]
    assert not drawn[0] & drawn[1]


def test_items_nobody_drew_are_left_out() -> None:
    dataset = load(num_users=4, num_interactions=2, num_groups=2)
    assert dataset.num_items <= 8
    assert (links(dataset).sum(0) > 0).all()
    assert dataset.tags is not None
    assert len(dataset.tags) == dataset.num_items


def test_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnseg.data.sources.planted.BLOCK", 60 * 7)
    dataset = load()
    assert (links(dataset).sum(1) == 8).all()
    assert at_home(dataset) > 0.8


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"num_groups": 61},
            "Planted: 'num_groups' must be at most the number of users and items 60 (got 61)",
        ),
        ({"num_clusters": 61}, "Planted: 'num_clusters' must be at most the number of items 60 (got 61)"),
        (
            {"num_interactions": 61},
            "Planted: 'num_interactions' must be at most the number of items 60 (got 61)",
        ),
    ],
)
def test_too_many(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        SOURCES.create({"name": "Planted", **SMALL, **changes}, Path())
    assert problem in str(error.value)


@pytest.mark.parametrize("changes", [{"signal": -1.0}, {"contrast": 1.5}, {"num_users": 0}, {"sginal": 1.0}])
def test_bad(changes: dict[str, Any]) -> None:
    with pytest.raises(GnnsegError, match=next(iter(changes))):
        SOURCES.resolve({"name": "Planted", **changes})
