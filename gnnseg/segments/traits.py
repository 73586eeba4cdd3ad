"""What items have in common: tags and words, as sparse matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

MAX_WORDS = 500
"""Words that are kept, the most frequent first; a rarer one says little about many users."""

MIN_ITEMS = 2
"""Items that a word must occur in."""


def tag_matrix(tags: Sequence[Sequence[str]] | None) -> tuple[list[str], sp.csr_matrix] | None:
    """Names of all tags, and which item has which, ``[I, T]`` of ones; None without any tag."""
    names = sorted({tag for item in tags or () for tag in item})
    if tags is None or not names:
        return None
    column = {tag: position for position, tag in enumerate(names)}
    pairs = {(row, column[tag]) for row, item in enumerate(tags) for tag in item}
    rows, columns = zip(*sorted(pairs), strict=True)
    return names, sp.csr_matrix((np.ones(len(pairs)), (rows, columns)), shape=(len(tags), len(names)))


def word_matrix(texts: Sequence[str] | None) -> tuple[list[str], sp.csr_matrix] | None:
    """Words of item texts, and which item has which, ``[I, V]`` of ones; None without any.

    Words have two letters or more and no digit. English function words, words of more than half of the
    items and of a single one tell nothing and are left out; of the others at most 500 are kept.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(token_pattern=r"(?u)\b[^\W\d_]{2,}\b", stop_words="english", binary=True)
    try:
        found = counter.fit_transform(texts or [])
    except ValueError:  # what it raises where no text has a word
        return None
    count = found.getnnz(axis=0)
    known = np.flatnonzero((count >= MIN_ITEMS) & (count <= found.shape[0] / 2))
    if not len(known):
        return None
    kept = np.sort(known[np.argsort(-count[known], kind="stable")[:MAX_WORDS]])
    return counter.get_feature_names_out()[kept].tolist(), found[:, kept].astype(np.float64).tocsr()


def tfidf(words: sp.csr_matrix) -> sp.csr_matrix:
    """TF-IDF weights of ``words [I, V]``, rows with a word sum to one: an item counts once."""
    from sklearn.feature_extraction.text import TfidfTransformer

    return TfidfTransformer(norm="l1").fit_transform(words)
