"""Random datasets."""

import numpy as np
from hypothesis import strategies as st

from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IdMap
from gnnseg.data.interactions import Interactions


def make(
    pairs: list[tuple[int, int]],
    times: list[int] | None = None,
    weights: list[float] | None = None,
    given_test: list[bool] | None = None,
) -> Dataset:
    """A dataset of pairs whose rows are all used."""
    users, user_rows = np.unique([user for user, _ in pairs], return_inverse=True)
    items, item_rows = np.unique([item for _, item in pairs], return_inverse=True)
    return Dataset(
        name="made",
        interactions=Interactions(
            user_rows.astype(np.int64),
            item_rows.astype(np.int64),
            None if weights is None else np.array(weights, dtype=np.float64),
            None if times is None else np.array(times, dtype=np.int64),
        ),
        users=IdMap((f"u{user}" for user in users), "user"),
        items=IdMap((f"i{item}" for item in items), "item"),
        texts=tuple(f"text {item}" for item in items),
        tags=tuple((f"tag {item}",) for item in items),
        given_test=None if given_test is None else np.array(given_test),
    )


def named(dataset: Dataset) -> list[tuple[str, str]]:
    """The pairs by their outside ids."""
    interactions = dataset.interactions
    return list(
        zip(dataset.users.names(interactions.users), dataset.items.names(interactions.items), strict=True)
    )


pairs = st.tuples(st.integers(0, 7), st.integers(0, 9))


@st.composite
def datasets(draw: st.DrawFn, unique: bool = True) -> Dataset:
    """Up to 60 interactions of 8 users and 10 items with few different times."""
    chosen = draw(st.lists(pairs, min_size=1, max_size=60, unique=unique))
    size = len(chosen)
    times = draw(st.lists(st.integers(-5, 20), min_size=size, max_size=size))
    weights = draw(st.lists(st.sampled_from([0.5, 1.0, 3.0, 4.0, 5.0]), min_size=size, max_size=size))
    given = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    return make(chosen, times, weights, given)
