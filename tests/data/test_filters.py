import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gnnseg.data.dataset import Dataset
from gnnseg.data.filters import Filters
from gnnseg.errors import DataError
from tests.data.strategies import datasets, make, named

Pairs = list[tuple[str, str]]


def core(pairs: Pairs, min_user: int, min_item: int) -> Pairs:
    """The k-core the slow way: one user or item is thrown out at a time."""
    while True:
        for place, least in ((0, min_user), (1, min_item)):
            names = [pair[place] for pair in pairs]
            few = next((name for name in names if names.count(name) < least), None)
            if few is not None:
                pairs = [pair for pair in pairs if pair[place] != few]
                break
        else:
            return pairs


@settings(deadline=None, max_examples=50)
@given(datasets(), st.integers(0, 5), st.integers(0, 5))
def test_core_is_maximal_and_stable(dataset: Dataset, min_user: int, min_item: int) -> None:
    filters = Filters(min_user_items=min_user, min_item_users=min_item)
    expected = core(named(dataset), min_user, min_item)
    if not expected:
        with pytest.raises(DataError, match="the filters leave nothing of 'made'"):
            filters.apply(dataset)
        return
    filtered = filters.apply(dataset)
    assert named(filtered) == expected
    assert named(filters.apply(filtered)) == expected


@settings(deadline=None, max_examples=50)
@given(datasets(unique=False), st.sampled_from(["first", "last"]))
def test_one_of_repeated_pairs_is_kept(dataset: Dataset, duplicates: str) -> None:
    filtered = Filters(duplicates=duplicates).apply(dataset)
    all_times = dataset.interactions.times.tolist()
    times: dict[tuple[str, str], list[int]] = {}
    for pair, time in zip(named(dataset), all_times, strict=True):
        times.setdefault(pair, []).append(time)
    chosen = dict(zip(named(filtered), filtered.interactions.times.tolist(), strict=True))
    assert len(chosen) == len(filtered.interactions)
    assert chosen == {pair: (min if duplicates == "first" else max)(found) for pair, found in times.items()}


def test_repeated_pairs_without_times_go_by_position() -> None:
    dataset = make([(0, 0), (0, 1), (0, 0)], weights=[1.0, 2.0, 3.0])
    assert Filters(duplicates="first").apply(dataset).interactions.weights.tolist() == [1, 2]
    assert Filters(duplicates="last").apply(dataset).interactions.weights.tolist() == [2, 3]


def test_repeated_pairs_refused() -> None:
    with pytest.raises(DataError, match="1 repeated user-item pairs"):
        Filters(duplicates="error").apply(make([(0, 0), (0, 0)]))


def test_ratings_are_filtered_before_repeated_pairs() -> None:
    dataset = make([(0, 0), (0, 0), (1, 1)], times=[1, 2, 3], weights=[5.0, 1.0, 4.0])
    filtered = Filters(min_rating=4, duplicates="error").apply(dataset)
    assert filtered.interactions.weights.tolist() == [5, 4]


def test_ratings_that_are_not_there() -> None:
    with pytest.raises(DataError, match="'min_rating' needs ratings"):
        Filters(min_rating=4).apply(make([(0, 0)]))


def test_nothing_left() -> None:
    with pytest.raises(
        DataError, match=r"leave nothing of 'made' \(1 interactions, min_rating 4\.0.*lower them"
    ):
        Filters(min_rating=4).apply(make([(0, 0)], weights=[1.0]))


def test_one_user_and_one_item() -> None:
    assert named(Filters().apply(make([(3, 4)]))) == [("u3", "i4")]


@pytest.mark.parametrize("wrong", [{"min_user_items": -1}, {"duplicates": "none"}, {"min_users": 1}])
def test_wrong_fields(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Filters(**wrong)  # type: ignore[arg-type]
