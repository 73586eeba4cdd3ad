"""Texts to vectors without a pretrained model: word counts and their principal directions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gnnseg.components import NonNegativeInt, PositiveInt
from gnnseg.errors import DataError
from gnnseg.text.base import Progress, TextEncoder, as_texts

logger = logging.getLogger(__name__)


class TfidfEncoder(TextEncoder):
    """TF-IDF and truncated singular value decomposition, rows scaled to length 1.

    This is latent semantic analysis (Deerwester et al. 1990,
    doi 10.1002/(SICI)1097-4571(199009)41:6<391::AID-ASI1>3.0.CO;2-9) with TF-IDF weights. Vocabulary and
    directions come from the very texts that are encoded, so vectors of two calls cannot be compared. A
    text that shares no word of the vocabulary is a row of zeros. There are fewer features than asked for
    where the texts' matrix has a lower rank, such as with a small vocabulary; the log says so.

    Args:
        num_features: Size of a vector, at most.
        min_count: Texts a word must occur in to be in the vocabulary.
        seed: Of the randomised decomposition.
    """

    def __init__(
        self, *, num_features: PositiveInt = 128, min_count: PositiveInt = 2, seed: NonNegativeInt = 0
    ) -> None:
        self.num_features, self.min_count, self.seed = num_features, min_count, seed

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Tensor:
        """Vectors of the texts.

        Args:
            texts: At least one text with words; empty ones are allowed beside it.
            progress: Told how many texts were just done, once.

        Returns:
            ``[len(texts), f]`` float32 on the CPU, ``f`` at most ``num_features``.

        Raises:
            DataError: If no word occurs in ``min_count`` texts.
        """
        texts = as_texts(texts)
        weighted = self._weighted(texts)
        vectors = self._project(weighted)
        if progress is not None:
            progress(len(texts))
        return normalize(torch.from_numpy(vectors), dim=-1).float()

    def describe(self) -> dict[str, Any]:
        """The settings."""
        return {"num_features": self.num_features, "min_count": self.min_count, "seed": self.seed}

    def _weighted(self, texts: list[str]) -> Any:
        """Sparse TF-IDF ``[len(texts), V]`` float64."""
        from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

        counter = CountVectorizer(token_pattern=r"(?u)\b\w+\b")  # one-letter words too: "M", "Z", CJK
        try:
            counts = counter.fit_transform(texts)
        except ValueError:  # what it raises where no text has a word
            raise DataError(f"no words in {len(texts)} texts to make TF-IDF features of") from None
        common = np.flatnonzero(counts.getnnz(axis=0) >= self.min_count)
        if not len(common):
            raise DataError(
                f"no word occurs in {self.min_count} of {len(texts)} texts; lower 'min_count' "
                f"(got {self.min_count})"
            )
        return TfidfTransformer(sublinear_tf=True).fit_transform(counts[:, common])

    def _project(self, weighted: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        from sklearn.utils.extmath import randomized_svd

        size = min(self.num_features, *weighted.shape)
        _, scale, directions = randomized_svd(weighted, size, random_state=self.seed)
        real = scale > scale[0] * 1e-10  # beyond the rank, directions are noise
        if real.sum() < self.num_features:
            logger.info("%d TF-IDF features, not %d: the texts hold no more", real.sum(), self.num_features)
        vectors = np.ascontiguousarray(weighted @ directions[real].T, dtype=np.float64)
        # rows of weights have length 1, so these are rounding errors, which must not be scaled up
        vectors[np.linalg.norm(vectors, axis=1) < 1e-6] = 0
        return vectors
