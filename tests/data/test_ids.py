import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnseg.data.ids import IdMap
from gnnseg.errors import DataError


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(max_size=4), unique=True, max_size=8), st.data())
def test_rows_and_names_are_inverse(ids: list[str], data: st.DataObject) -> None:
    known = IdMap(ids)
    rows = data.draw(st.lists(st.sampled_from(range(len(ids))), max_size=8)) if ids else []
    assert len(known) == len(ids)
    assert list(known) == ids
    assert known.names(rows) == [ids[row] for row in rows]
    assert known.rows(known.names(rows)).tolist() == rows
    assert known.rows([]).dtype == "int64"


def test_numbers_and_their_texts_are_the_same_id() -> None:
    known = IdMap([1, "x"])
    assert known.rows(["1", 1]).tolist() == [0, 0]
    assert 1 in known
    assert "1" in known
    assert 2 not in known


def test_whole_numbers_of_any_type_are_one_id() -> None:
    known = IdMap([1.0, np.float32(2), np.int64(3), "4", 5.5], "user")
    assert known.ids == ("1", "2", "3", "4", "5.5")
    assert known.rows(["1", 2, 3.0, np.float64(4), "5.5"]).tolist() == [0, 1, 2, 3, 4]
    assert "1.0" not in known  # a text stays what it is
    with pytest.raises(DataError, match="unknown user 'nan'"):
        known.rows([float("nan")])


def test_take_renumbers() -> None:
    taken = IdMap("abc", "item").take([2, 0])
    assert taken.ids == ("c", "a")
    assert taken.rows(["a"]).tolist() == [1]
    assert taken.noun == "item"


def test_repeated_ids() -> None:
    with pytest.raises(DataError, match=r"user ids must be unique \(got 2 repeated\)"):
        IdMap([1, "1", 2, 2], "user")


def test_unknown_id_names_the_nearest() -> None:
    with pytest.raises(DataError, match=r"unknown user 'anna'; did you mean 'anne'\?"):
        IdMap(["anne", "bob"], "user").rows(["bob", "anna"])


def test_unknown_id_among_many() -> None:
    with pytest.raises(DataError, match=r"unknown user 'x' \(20001 are known\)"):
        IdMap(range(20_001), "user").rows(["x"])
