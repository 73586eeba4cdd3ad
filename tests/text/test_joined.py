import pytest
import torch

from gnnseg.errors import ConfigError
from gnnseg.text import Joined, TfidfEncoder, YearEncoder

TEXTS = ["space war (1977)", "space war in space (1980)", "love story (1970)", "love (2001)"]
PARTS = [{"name": "TfidfEncoder", "min_count": 1}, "YearEncoder"]


def test_a_cosine_is_the_weighted_mean() -> None:
    vectors = Joined(encoders=PARTS, weights=[3.0, 1.0]).encode(TEXTS)
    words, years = TfidfEncoder(min_count=1).encode(TEXTS), YearEncoder().encode(TEXTS)
    torch.testing.assert_close(vectors @ vectors.T, 0.75 * words @ words.T + 0.25 * years @ years.T)


def test_texts_are_counted_once() -> None:
    done: list[int] = []
    Joined(encoders=PARTS).encode(TEXTS, done.append)
    assert sum(done) == 4


def test_parts_are_described_and_resolved() -> None:
    spec = Joined.hyperparameters()
    assert set(spec) == {"encoders", "weights"}
    assert Joined(encoders=PARTS, weights=[1, 3]).describe()["weights"] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("encoders", "weights", "problem"),
    [
        (["TfidfEncoder"], None, r"at least two \(got 1\)"),
        (PARTS, [1.0], r"one for each of the 2 encoders"),
        (PARTS, [0.0, 0.0], r"not all zero"),
        (["TfidfEncoder", "Nothing"], None, "Nothing"),
    ],
)
def test_refused(encoders: list[str], weights: list[float] | None, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        Joined(encoders=encoders, weights=weights)
