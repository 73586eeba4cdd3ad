from dataclasses import replace

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnseg.data.dataset import Dataset
from gnnseg.data.ids import IdMap
from tests.data.strategies import datasets, make, named


def test_sizes() -> None:
    dataset = make([(0, 0), (0, 1), (2, 5)])
    assert (dataset.num_users, dataset.num_items, len(dataset.interactions)) == (2, 3, 3)
    assert dataset.density == 0.5


@settings(deadline=None, max_examples=50)
@given(datasets(unique=False), st.randoms())
def test_take_keeps_what_belongs_together(dataset: Dataset, random: object) -> None:
    dataset = replace(dataset, user_table=pl.DataFrame({"id": list(dataset.users)}))
    kept = np.array([random.random() < 0.5 for _ in range(len(dataset.interactions))])  # type: ignore[attr-defined]
    part = dataset.take(kept)
    assert named(part) == [pair for pair, keep in zip(named(dataset), kept, strict=True) if keep]
    assert set(part.interactions.users) == set(range(part.num_users))
    assert set(part.interactions.items) == set(range(part.num_items))
    assert part.texts == tuple(f"text {item[1:]}" for item in part.items)
    assert part.tags == tuple((f"tag {item[1:]}",) for item in part.items)
    assert part.user_table["id"].to_list() == list(part.users)
    assert np.array_equal(part.interactions.times, dataset.interactions.times[kept])
    assert np.array_equal(part.given_test, dataset.given_test[kept])
    assert part.interactions.users.dtype == part.interactions.items.dtype == np.int64


def test_digest_tells_datasets_apart() -> None:
    base = make([(0, 0), (0, 1)], times=[1, 2], weights=[1.0, 2.0], given_test=[True, False])
    others = [
        make([(0, 0), (1, 1)], times=[1, 2], weights=[1.0, 2.0], given_test=[True, False]),
        make([(0, 0), (0, 1)], times=[1, 3], weights=[1.0, 2.0], given_test=[True, False]),
        make([(0, 0), (0, 1)], times=[1, 2], weights=[1.0, 2.5], given_test=[True, False]),
        make([(0, 0), (0, 1)], times=[1, 2], weights=[1.0, 2.0], given_test=[True, True]),
        make([(0, 0), (0, 1)]),
        replace(base, texts=("a", "b")),
        replace(base, texts=None),
        replace(base, users=IdMap(["other"])),
        replace(base, items=IdMap(["i0", "other"])),
    ]
    digests = {dataset.digest for dataset in [base, *others]}
    assert len(digests) == 1 + len(others)
    assert all(digest.startswith("sha256:") for digest in digests)
    assert replace(base, name="other").digest == base.digest
