"""Sentence vectors of a pretrained transformer."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize as unit_length

from gnnseg.components import PositiveInt
from gnnseg.errors import ConfigError
from gnnseg.text import cache as disk
from gnnseg.text.base import Progress, TextEncoder, as_texts
from gnnseg.text.weights import MINILM, Weights, first_line, resolve

logger = logging.getLogger(__name__)

Rows = npt.NDArray[np.int64]
Tokens = list[npt.NDArray[np.int32]]

TOKENIZED_AT_ONCE = 16_384
"""Texts per call of the tokenizer, which holds far more of each than the token ids that are kept."""


class TransformerEncoder(TextEncoder):
    """Pools the last hidden states of a pretrained transformer encoder over a text's tokens.

    The pooling is that of Sentence-BERT (arXiv:1908.10084, section 3); the default model is a MiniLM
    (arXiv:2002.10957) tuned for sentences. Equal texts are computed once. Texts are sorted by their number
    of tokens, so that a batch is padded to the length of its longest only; a result does not depend on the
    batch beyond rounding.

    Args:
        model: A local folder, a name on the model hub, or ``minilm``; ``gnnseg.text.weights`` says in which
            order places are searched.
        revision: Branch, tag or commit on the hub; None takes an installed package or the default branch.
        pooling: ``mean`` of the tokens' states, or the state of the first token (``cls``).
        normalize: Whether vectors are scaled to length 1 (L2).
        batch_size: Texts a forward pass.
        max_length: Tokens read of a text, special tokens included; never more than the model has positions.
        dtype: Precision of the weights and the forward pass; pooling and results are float32.
        cache: Whether vectors are kept on disk and read from there.

    Raises:
        ConfigError: If the weights cannot be found or loaded; raised on first use.
    """

    def __init__(
        self,
        *,
        model: str = MINILM,
        revision: str | None = None,
        pooling: Literal["mean", "cls"] = "mean",
        normalize: bool = True,
        batch_size: PositiveInt = 64,
        max_length: PositiveInt = 256,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        cache: bool = True,
    ) -> None:
        self.model, self.revision = model, revision
        self.pooling, self.normalize = pooling, normalize
        self.batch_size, self.max_length = batch_size, max_length
        self.dtype, self.cache = dtype, cache
        self._weights: Weights | None = None
        self._loaded: tuple[Any, Any] | None = None

    def encode(self, texts: Sequence[str], progress: Progress | None = None) -> Tensor:
        """Vectors of the texts, from the disk cache if they are there.

        Args:
            texts: Any number of texts; empty ones are allowed.
            progress: Told how many texts were just done.

        Returns:
            ``[len(texts), f]`` float32 on the CPU.

        Raises:
            DataError: If an entry is no string or not valid Unicode.
            ConfigError: If the weights cannot be found or loaded.
        """
        texts = as_texts(texts)
        position = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        rows = np.fromiter((position[text] for text in texts), np.int64, len(texts))
        counts = np.bincount(rows, minlength=len(position))
        vectors = self._vectors(list(position), counts, progress or (lambda done: None))
        return vectors[torch.from_numpy(rows)]

    def describe(self) -> dict[str, Any]:
        """The model, where its weights came from, their revision, and the settings that shape the vectors.

        Raises:
            ConfigError: If the weights cannot be found.
        """
        weights = self._resolved()
        return {
            "model": weights.name,
            "origin": weights.origin,
            "revision": weights.revision,
            **self._settings(),
        }

    def _settings(self) -> dict[str, Any]:
        return {
            "pooling": self.pooling,
            "normalize": self.normalize,
            "max_length": self.max_length,
            "dtype": self.dtype,
        }

    def _vectors(self, texts: list[str], counts: Rows, progress: Progress) -> Tensor:
        """Vectors of different texts; ``counts`` says how often each is wanted, for ``progress``."""
        if not self.cache or not texts:
            return self._compute(texts, counts, progress)
        encoder = f"{type(self).__module__}.{type(self).__qualname__}"
        settings = {"encoder": encoder, "weights": self._resolved().identity, **self._settings()}
        name = disk.key(settings, texts)
        vectors = disk.read(name, len(texts))
        if vectors is None:
            vectors = self._compute(texts, counts, progress)
            disk.write(name, vectors)
        else:
            progress(int(counts.sum()))
        return vectors

    def _compute(self, texts: list[str], counts: Rows, progress: Progress) -> Tensor:
        tokenizer, model = self._load()
        tokens = self._tokenize(tokenizer, model, texts)
        lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
        order = np.argsort(-lengths, kind="stable")
        vectors = torch.zeros(len(texts), model.config.hidden_size)
        with torch.inference_mode():
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                filled = rows[lengths[rows] > 0]  # without special tokens, an empty text has no token at all
                if len(filled):
                    ids, mask = _padded([tokens[row] for row in filled], tokenizer.pad_token_id or 0)
                    vectors[torch.from_numpy(filled)] = self._forward(model, ids, mask).cpu()
                progress(int(counts[rows].sum()))
        return vectors

    def _forward(self, model: Any, ids: Tensor, mask: Tensor) -> Tensor:
        """``[B, L]`` token ids and mask to ``[B, f]``."""
        ids, mask = ids.to(self.device), mask.to(self.device)
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        if self.pooling == "cls":
            pooled = states[:, 0].float()
        else:
            weights = mask.unsqueeze(-1).float()
            pooled = (states.float() * weights).sum(1) / weights.sum(1)
        return unit_length(pooled, dim=-1) if self.normalize else pooled

    def _tokenize(self, tokenizer: Any, model: Any, texts: list[str]) -> Tokens:
        special = tokenizer.num_special_tokens_to_add()
        if self.max_length <= special:
            raise ConfigError(
                f"'max_length' must be above the {special} special tokens of '{self.model}' "
                f"(got {self.max_length})"
            )
        limit = min(self.max_length, tokenizer.model_max_length, _num_positions(model))
        if limit < self.max_length:
            logger.info("'%s' reads %d tokens of a text, not %d", self.model, limit, self.max_length)
        tokens: Tokens = []
        for start in range(0, len(texts), TOKENIZED_AT_ONCE):
            encoded = tokenizer(
                texts[start : start + TOKENIZED_AT_ONCE],
                truncation=True,
                max_length=limit,
                return_attention_mask=False,
                return_token_type_ids=False,
            )
            tokens += [np.asarray(ids, np.int32) for ids in encoded["input_ids"]]
        return tokens

    def _resolved(self) -> Weights:
        if self._weights is None:
            self._weights = resolve(self.model, self.revision)
        return self._weights

    def _load(self) -> tuple[Any, Any]:
        """Tokenizer and model, on the device; read on the first call."""
        if self._loaded is None:
            self._loaded = _load(self._resolved(), getattr(torch, self.dtype))
        tokenizer, model = self._loaded
        return tokenizer, model.to(self.device)


def _load(weights: Weights, dtype: torch.dtype) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(str(weights.path), **options)
            model, found = AutoModel.from_pretrained(
                str(weights.path), use_safetensors=True, output_loading_info=True, **options
            )
    except Exception as error:  # a damaged file surfaces as whatever its parser raises
        where = f"'{weights.name}' from '{weights.path}'"
        raise ConfigError(f"cannot load text model {where}: {first_line(error)}") from error
    # the pooler is not used, and models trained without it lack its weights
    missing = sorted(key for key in found["missing_keys"] if "pooler." not in key)
    if missing:
        raise ConfigError(
            f"the weights in '{weights.path}' lack {len(missing)} of the model's tensors, "
            f"such as '{missing[0]}'"
        )
    if getattr(model.config, "is_encoder_decoder", False):
        raise ConfigError(f"'{weights.name}' is an encoder-decoder; give a model that is an encoder alone")
    return tokenizer, model.to(dtype).eval()


def _num_positions(model: Any) -> int:
    """The longest input that the model has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions <= 0:
        return np.iinfo(np.int64).max
    # RoBERTa and its kin number positions from padding_idx + 1
    padding = getattr(getattr(model, "embeddings", None), "padding_idx", None)
    return positions if padding is None else positions - padding - 1


def _padded(tokens: Tokens, pad: int) -> tuple[Tensor, Tensor]:
    """Token ids and mask ``[B, L]``, the mask 1 at tokens and 0 at padding, which is on the right."""
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(mask.shape, pad, np.int64)
    ids[mask] = np.fromiter(chain.from_iterable(tokens), np.int64, int(lengths.sum()))
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' bars and messages off the terminal; what matters of them is checked here."""
    from transformers.utils import logging as messages

    level, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if bars:
            messages.enable_progress_bar()
