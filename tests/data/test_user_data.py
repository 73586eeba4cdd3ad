import numpy as np
import polars as pl
import pytest

from gnnseg.data import Dataset, IdMap, Interactions, UserData
from gnnseg.errors import ConfigError, DataError


def dataset(table: pl.DataFrame | None) -> Dataset:
    rows = Interactions(np.array([0, 1, 2]), np.array([0, 0, 1]))
    return Dataset("d", rows, IdMap(["a", "b", "c"], "user"), IdMap(["x", "y"], "item"), user_table=table)


def test_columns_of_the_table() -> None:
    table = pl.DataFrame({"gender": ["F", None, "M"], "age": [20, None, 30], "km": [1.5, 2.0, None]})
    data = UserData.of(dataset(table), dataset(table).interactions)
    assert data.column("gender", 3).tolist() == ["F", None, "M"]
    np.testing.assert_array_equal(data.column("age", 3), [20, np.nan, 30])
    np.testing.assert_array_equal(data.column("km", 3), [1.5, 2.0, np.nan])


def test_training_interactions_alone() -> None:
    train = dataset(None).interactions[np.array([True, False, True])]
    data = UserData.of(dataset(None), train)
    assert data.train is train
    assert data.columns == {}


def test_wrong_columns() -> None:
    data = UserData.of(dataset(pl.DataFrame({"age": [1, 2, 3]})), dataset(None).interactions)
    with pytest.raises(ConfigError, match=r"no column 'sex' in the users' table \(it has age\)"):
        data.column("sex", 3)
    with pytest.raises(DataError, match=r"'age' must have one value for each of the 4 users \(got \(3,\)\)"):
        data.column("age", 4)
