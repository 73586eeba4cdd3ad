import math

import pytest
import torch

from gnnseg.text import YearEncoder


@pytest.mark.parametrize("gap", [0, 1, 4, 9])
def test_cosines_follow_the_years_apart(gap: int) -> None:
    vectors = YearEncoder(width=4.0).encode([f"A ({1980})", f"B, {1980 + gap}"])
    assert float(vectors[0] @ vectors[1]) == pytest.approx(math.exp(-(gap**2) / (4 * 16)), abs=0.02)


def test_the_last_year_counts_and_other_numbers_do_not() -> None:
    vectors = YearEncoder().encode(["1984 (1956)", "the 39 steps 12345 of 1956", "no year", "3001 2200"])
    torch.testing.assert_close(vectors[0], vectors[1])
    assert not vectors[2:].any()


def test_length_and_type() -> None:
    vectors = YearEncoder().encode(["1800", "2099", ""])
    torch.testing.assert_close(vectors.norm(dim=1), torch.tensor([1.0, 1.0, 0.0]))
    assert vectors.dtype == torch.float32
    assert YearEncoder().encode([]).shape[0] == 0
