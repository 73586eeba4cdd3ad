import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from gnnseg.segments.traits import MAX_WORDS, tag_matrix, tfidf, word_matrix

TEXTS = ["A robot and the robot 2001", "robot love", "Love, love me!", "", "me dragons", "dragons"]


def test_tags() -> None:
    found = tag_matrix([["b", "a", "b"], [], ["c"]])
    assert found is not None
    names, matrix = found
    assert names == ["a", "b", "c"]
    assert matrix.toarray().tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("tags", [None, [], [[], []]])
def test_no_tags(tags: list[list[str]] | None) -> None:
    assert tag_matrix(tags) is None


def test_words() -> None:
    found = word_matrix(TEXTS)
    assert found is not None
    names, matrix = found
    assert names == ["dragons", "love", "robot"]  # neither numbers nor function words nor what occurs once
    assert matrix.toarray().tolist() == [[0, 0, 1], [0, 1, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0]]


def test_words_of_most_items_are_left_out() -> None:
    found = word_matrix(["film war", "film war", "film love", "film love", "film"])
    assert found is not None
    assert found[0] == ["love", "war"]


def test_frequent_words_are_kept() -> None:
    letters = [chr(97 + n // 26) + chr(97 + n % 26) + "q" for n in range(MAX_WORDS + 20)]
    texts = [" ".join(letters), *letters, " ".join(letters[20:]), *[""] * len(letters)]
    found = word_matrix(texts)
    assert found is not None
    assert found[0] == letters[20:]
    assert found[1].shape == (len(texts), MAX_WORDS)


@pytest.mark.parametrize("texts", [None, [], ["", ""], ["1 2", "3"], ["once", "twice"], ["the and", "the"]])
def test_no_words(texts: list[str] | None) -> None:
    assert word_matrix(texts) is None


def test_tfidf() -> None:
    found = word_matrix(TEXTS)
    assert found is not None
    names, matrix = found
    oracle = TfidfVectorizer(vocabulary=names, binary=True, norm="l1").fit_transform(TEXTS)
    np.testing.assert_allclose(tfidf(matrix).toarray(), oracle.toarray())
    assert tfidf(matrix).sum(1).A1.tolist() == pytest.approx([1, 1, 1, 0, 1, 1])
