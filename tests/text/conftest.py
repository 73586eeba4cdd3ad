from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gnnseg import files
from gnnseg.text import transformer

WORDS = (
    *("the", "a", "red", "green", "blue", "ship", "sails", "sea", "space", "war", "love"),
    *("story", "of", "and", "night", "day", "old", "new", "man", "king"),
)


def save_tiny_bert(folder: Path, seed: int = 0, positions: int = 64) -> Path:
    """A random BERT of 2 layers and 16 dimensions with a small WordPiece vocabulary, on disk."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    files.write_text(folder / "vocab.txt", "\n".join(vocabulary) + "\n")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = BertModel(
            BertConfig(
                vocab_size=len(vocabulary),
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=32,
                max_position_embeddings=positions,
                initializer_range=0.5,
            )
        )
    with transformer._quiet():
        model.save_pretrained(folder)
    # the mapping is what transformers 5 reads, the file what transformers 4 reads
    mapping = {word: row for row, word in enumerate(vocabulary)}
    try:
        tokenizer = BertTokenizerFast(vocab=mapping)
    except TypeError:
        tokenizer = BertTokenizerFast(vocab_file=str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("tiny-bert"))


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """Tiny tensors only wait for a second thread, for long where other processes use the cores."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has its own cache of text vectors."""
    monkeypatch.setenv("GNNSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the model hub, and a hub that refuses connections."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return cache
