from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnseg.data.sources import reading
from gnnseg.data.sources.reading import Numbering, seconds_of


@given(st.lists(st.sampled_from([0.0, -1.0, 1e11, 1.0000001e11, 3e11, -5e11]), min_size=1, max_size=9))
def test_the_median_tells_the_unit(values: list[float]) -> None:
    exceeds = np.median(np.abs(values)) > 1e11
    expected = np.array(values) / (1e3 if exceeds else 1)
    assert np.array_equal(seconds_of(np.array(values), False), expected)


@pytest.mark.parametrize("block", [1, 3])
def test_blocks_do_not_show(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BLOCK", block)
    values = np.array([1e12, 2e12, 5.0, 7.0])  # the median lies between, above the bound
    assert seconds_of(values.copy(), False).tolist() == (values / 1e3).tolist()
    known = np.array([False, False, True, True])
    assert seconds_of(values.copy(), known).tolist() == [1e9, 2e9, 5.0, 7.0]
    assert seconds_of(values.copy(), True).tolist() == values.tolist()


@given(st.lists(st.lists(st.text(min_size=1, max_size=3), max_size=5), max_size=6))
def test_numbering(pieces: list[list[str]]) -> None:
    numbering = Numbering()
    codes = [numbering.codes(pl.Series(piece, dtype=pl.String)) for piece in pieces]
    kept = [piece[1:] for piece in codes]  # ids that only rows taken out have get no row
    ids, rows = numbering.finish(kept)
    left = [name for piece in pieces for name in piece[1:]]
    assert ids == sorted(set(left), key=str.encode)
    assert [ids[row] for row in rows] == left
    assert kept == []
