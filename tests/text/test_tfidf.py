import logging

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from gnnseg.errors import ConfigError, DataError
from gnnseg.text import TfidfEncoder

TEXTS = [
    "space war in space",
    "a war in space",
    "love story",
    "a love story in Paris",
    "Paris by night",
    "night war",
]


def test_shape_length_and_type() -> None:
    vectors = TfidfEncoder(num_features=3).encode(TEXTS)
    assert vectors.shape == (6, 3)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(6))


def test_at_full_rank_similarities_are_those_of_tfidf() -> None:
    weighted = TfidfVectorizer(min_df=1, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit_transform(TEXTS)
    vectors = TfidfEncoder(min_count=1).encode(TEXTS)
    expected = torch.from_numpy((weighted @ weighted.T).toarray()).float()
    torch.testing.assert_close(vectors @ vectors.T, expected, atol=1e-5, rtol=0)


def test_similarities_are_those_of_an_exact_decomposition() -> None:
    weighted = TfidfVectorizer(min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit_transform(TEXTS)
    left, scale, _ = np.linalg.svd(weighted.toarray(), full_matrices=False)
    rows = left[:, :3] * scale[:3]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = TfidfEncoder(num_features=3).encode(TEXTS)
    np.testing.assert_allclose((vectors @ vectors.T).numpy(), rows @ rows.T, atol=1e-5)


def test_related_texts_are_nearer() -> None:
    vectors = TfidfEncoder(num_features=3).encode(TEXTS)
    similarity = vectors @ vectors.T
    assert similarity[0, 1] > similarity[0, 2]
    assert similarity[2, 3] > similarity[2, 0]


def test_small_vocabulary_gives_fewer_features_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        vectors = TfidfEncoder(num_features=128).encode(["red ship", "red ship", "red sea", "blue sea"])
    assert vectors.shape[1] <= 3
    assert "not 128" in caplog.text


def test_one_letter_words_count() -> None:
    assert TfidfEncoder(min_count=2).encode(["Z", "M", "Z", "M"]).shape == (4, 2)


def test_text_without_known_words_is_zero() -> None:
    vectors = TfidfEncoder(num_features=3).encode([*TEXTS, "", "!?", "unheard"])
    assert not vectors[-3:].any()
    assert torch.isfinite(vectors).all()


def test_text_outside_the_kept_directions_is_zero_not_noise() -> None:
    vectors = TfidfEncoder(num_features=1).encode(["red ship"] * 9 + ["old king"] * 2)
    assert vectors[:9].norm(dim=1).min() > 0.99
    assert not vectors[9:].any()


def test_same_seed_same_result() -> None:
    texts = [f"w{i % 7} w{i % 11} w{i % 13} w{i % 29}" for i in range(400)]
    first, second = (TfidfEncoder(num_features=8, seed=3).encode(texts) for _ in range(2))
    assert torch.equal(first, second)


def test_one_text() -> None:
    vectors = TfidfEncoder(min_count=1).encode(["red ship"])
    torch.testing.assert_close(vectors.abs(), torch.ones(1, 1))


@pytest.mark.parametrize("texts", [[], [""], ["", "!?"]])
def test_no_words(texts: list[str]) -> None:
    with pytest.raises(DataError, match=f"no words in {len(texts)} texts"):
        TfidfEncoder().encode(texts)


def test_no_common_word() -> None:
    with pytest.raises(DataError, match=r"no word occurs in 2 of 2 texts; lower 'min_count' \(got 2\)"):
        TfidfEncoder().encode(["red", "blue"])


def test_progress_and_description() -> None:
    done: list[int] = []
    encoder = TfidfEncoder(seed=5)
    encoder.encode(TEXTS, done.append)
    assert sum(done) == len(TEXTS)
    assert encoder.describe() == {"num_features": 128, "min_count": 2, "seed": 5}


def test_out_of_range() -> None:
    with pytest.raises(ConfigError, match="num_features"):
        TfidfEncoder(num_features=0)
