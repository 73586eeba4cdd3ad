from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gnnseg.errors import ConfigError
from gnnseg.text import TransformerEncoder, cache, transformer
from gnnseg.text.weights import MINILM, PACKAGES, resolve
from tests.text.conftest import WORDS, save_tiny_bert

TEXTS = [" ".join(WORDS[(7 * i + j) % len(WORDS)] for j in range(1 + (5 * i) % 13)) for i in range(23)]


def one_by_one(folder: Path, texts: list[str], pooling: str, normalize: bool) -> Tensor:
    """An independent computation: no batches, no padding."""
    from transformers import AutoModel, AutoTokenizer

    with transformer._quiet():
        tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    rows = []
    with torch.no_grad():
        for text in texts:
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            row = states.mean(0) if pooling == "mean" else states[0]
            rows.append(row / row.square().sum().sqrt() if normalize else row)
    return torch.stack(rows)


def encoder(folder: Path, **settings: Any) -> TransformerEncoder:
    return TransformerEncoder(model=str(folder), **{"cache": False, **settings})


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_one_text_at_a_time(tiny_bert: Path, pooling: str, normalize: bool) -> None:
    vectors = encoder(tiny_bert, pooling=pooling, normalize=normalize, batch_size=4).encode(TEXTS)
    torch.testing.assert_close(
        vectors, one_by_one(tiny_bert, TEXTS, pooling, normalize), atol=1e-5, rtol=1e-5
    )
    assert vectors.norm(dim=1).allclose(torch.ones(len(TEXTS))) == normalize


def test_batch_size_does_not_change_the_result(tiny_bert: Path) -> None:
    reference = encoder(tiny_bert, batch_size=1).encode(TEXTS)
    for batch_size in (2, 7, 64):
        vectors = encoder(tiny_bert, batch_size=batch_size).encode(TEXTS)
        torch.testing.assert_close(vectors, reference, atol=1e-5, rtol=1e-5)


def test_order_is_kept_and_follows_the_texts(tiny_bert: Path) -> None:
    subject = encoder(tiny_bert, batch_size=4)
    permutation = torch.randperm(len(TEXTS), generator=torch.Generator().manual_seed(0))
    shuffled = subject.encode([TEXTS[row] for row in permutation])
    torch.testing.assert_close(shuffled, subject.encode(TEXTS)[permutation], atol=1e-5, rtol=1e-5)


def test_tokenized_in_parts(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encoder(tiny_bert).encode(TEXTS)
    monkeypatch.setattr(transformer, "TOKENIZED_AT_ONCE", 5)
    assert torch.equal(encoder(tiny_bert).encode(TEXTS), whole)


def test_equal_texts_are_computed_once(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = encoder(tiny_bert)
    seen: list[int] = []
    forward = subject._forward
    monkeypatch.setattr(
        subject, "_forward", lambda model, ids, mask: seen.append(len(ids)) or forward(model, ids, mask)
    )
    vectors = subject.encode(["red ship", "sea", "red ship"])
    assert seen == [2]
    assert torch.equal(vectors[0], vectors[2])


def test_result_is_plain_float32(tiny_bert: Path) -> None:
    vectors = encoder(tiny_bert).encode(TEXTS)
    assert vectors.dtype == torch.float32
    assert vectors.device.type == "cpu"
    assert not vectors.is_inference()
    assert not vectors.requires_grad
    (vectors * torch.ones(16, requires_grad=True)).sum().backward()


@pytest.mark.parametrize("texts", [[], [""], ["", "\x00\x1f\ufffd", "red"], ["red " * 10_000, "sea"]])
def test_odd_texts(tiny_bert: Path, texts: list[str]) -> None:
    done: list[int] = []
    vectors = encoder(tiny_bert).encode(texts, done.append)
    assert vectors.shape == (len(texts), 16)
    assert torch.isfinite(vectors).all()
    assert sum(done) == len(texts)


def test_texts_without_any_token_are_zero(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = encoder(tiny_bert, batch_size=2)
    tokenize = subject._tokenize
    monkeypatch.setattr(
        subject,
        "_tokenize",
        lambda tokenizer, model, texts: [
            ids if text else ids[:0]
            for ids, text in zip(tokenize(tokenizer, model, texts), texts, strict=True)
        ],
    )
    done: list[int] = []
    vectors = subject.encode(["red", "", "sea", ""], done.append)
    assert not vectors[[1, 3]].any()
    assert torch.equal(vectors[[0, 2]], encoder(tiny_bert, batch_size=2).encode(["red", "sea"]))
    assert sum(done) == 4


def test_max_length(tiny_bert: Path) -> None:
    long, short = "red green blue ship sails", "red green"
    vectors = encoder(tiny_bert, max_length=4).encode([long])
    torch.testing.assert_close(vectors, encoder(tiny_bert).encode([short]), atol=1e-5, rtol=1e-5)


def test_max_length_beyond_the_positions_is_cut(tiny_bert: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        encoder(tiny_bert, max_length=256).encode(["red " * 200])
    assert "reads 64 tokens of a text, not 256" in caplog.text


def test_max_length_must_hold_more_than_special_tokens(tiny_bert: Path) -> None:
    with pytest.raises(ConfigError, match=r"above the 2 special tokens.*\(got 2\)"):
        encoder(tiny_bert, max_length=2).encode(["red"])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precision_is_near(tiny_bert: Path, dtype: str) -> None:
    vectors = encoder(tiny_bert, dtype=dtype).encode(TEXTS)
    assert vectors.dtype == torch.float32
    exact = encoder(tiny_bert).encode(TEXTS)
    assert not torch.equal(vectors, exact)
    assert (vectors * exact).sum(1).min() > 0.99


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_on_cuda(tiny_bert: Path) -> None:
    subject = encoder(tiny_bert)
    subject.device = torch.device("cuda")
    vectors = subject.encode(TEXTS)
    assert vectors.device.type == "cpu"
    torch.testing.assert_close(vectors, encoder(tiny_bert).encode(TEXTS), atol=1e-4, rtol=1e-4)


def test_progress_counts_every_text(tiny_bert: Path) -> None:
    done: list[int] = []
    texts = [*TEXTS, *TEXTS[:5]]
    subject = encoder(tiny_bert, batch_size=4, cache=True)
    subject.encode(texts, done.append)
    assert sum(done) == len(texts)
    assert len(done) > 1
    again: list[int] = []
    subject.encode(texts, again.append)
    assert again == [len(texts)]


def test_cache_hit_does_not_load_the_model(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encoder(tiny_bert, cache=True).encode(TEXTS)
    monkeypatch.setattr(transformer, "_load", lambda *_: pytest.fail("the model was loaded"))
    assert torch.equal(encoder(tiny_bert, cache=True).encode(TEXTS), first)
    assert torch.equal(encoder(tiny_bert, cache=True, batch_size=3).encode(TEXTS), first)


@pytest.mark.parametrize(
    "other", [{"pooling": "cls"}, {"normalize": False}, {"max_length": 9}, {"dtype": "bfloat16"}]
)
def test_other_settings_miss_the_cache(tiny_bert: Path, other: dict[str, Any], own_home: Path) -> None:
    encoder(tiny_bert, cache=True).encode(TEXTS)
    vectors = encoder(tiny_bert, cache=True, **other).encode(TEXTS)
    assert len(list((own_home / "text").iterdir())) == 2
    assert torch.equal(vectors, encoder(tiny_bert, **other).encode(TEXTS))


def test_other_weights_or_texts_miss_the_cache(tiny_bert: Path, tmp_path: Path, own_home: Path) -> None:
    first = encoder(tiny_bert, cache=True).encode(TEXTS)
    other = encoder(save_tiny_bert(tmp_path / "other", seed=1), cache=True).encode(TEXTS)
    assert not torch.allclose(first, other)
    encoder(tiny_bert, cache=True).encode(TEXTS[1:])
    assert len(list((own_home / "text").iterdir())) == 3


def test_no_cache_writes_nothing(tiny_bert: Path, own_home: Path) -> None:
    encoder(tiny_bert).encode(TEXTS)
    assert not own_home.exists()


def test_damaged_cache_is_computed_again(
    tiny_bert: Path, own_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = encoder(tiny_bert, cache=True).encode(TEXTS)
    [file] = (own_home / "text").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    assert torch.equal(encoder(tiny_bert, cache=True).encode(TEXTS), first)
    assert "computing the vectors again" in caplog.text
    assert file.read_bytes() == whole


def test_cache_that_cannot_be_written(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GNNSEG_HOME", str(tmp_path / "file"))
    assert encoder(tiny_bert, cache=True).encode(TEXTS).shape == (len(TEXTS), 16)
    assert "not cached" in caplog.text


def test_description(tiny_bert: Path) -> None:
    assert encoder(tiny_bert, pooling="cls", max_length=32).describe() == {
        "model": str(tiny_bert),
        "origin": "folder",
        "revision": resolve(str(tiny_bert)).revision,
        "pooling": "cls",
        "normalize": True,
        "max_length": 32,
        "dtype": "float32",
    }


def test_nothing_on_the_terminal(tiny_bert: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from transformers.utils import logging as messages

    bars, level = messages.is_progress_bar_enabled(), messages.get_verbosity()
    encoder(tiny_bert).encode([*TEXTS, "red " * 500])
    assert capfd.readouterr() == ("", "")
    assert (messages.is_progress_bar_enabled(), messages.get_verbosity()) == (bars, level)


def test_damaged_weights(tiny_bert: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    content = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigError, match="cannot load text model") as caught:
        encoder(copy).encode(["red"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("dropped", "usable"), [("pooler.", True), ("encoder.layer.1.", False)])
def test_missing_weights(tiny_bert: Path, tmp_path: Path, dropped: str, usable: bool) -> None:
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    tensors = {k: v for k, v in load_file(copy / "model.safetensors").items() if not k.startswith(dropped)}
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    if usable:
        assert torch.equal(encoder(copy).encode(TEXTS), encoder(tiny_bert).encode(TEXTS))
    else:
        with pytest.raises(
            ConfigError, match=r"lack 16 of the model's tensors, such as 'encoder\.layer\.1\."
        ):
            encoder(copy).encode(TEXTS)


def test_encoder_decoder_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_bert, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "is_encoder_decoder": True}))
    with pytest.raises(ConfigError, match="encoder-decoder"):
        encoder(copy).encode(["red"])


@pytest.mark.parametrize(
    "setting", [{"batch_size": 0}, {"max_length": 0}, {"pooling": "max"}, {"dtype": "int8"}]
)
def test_out_of_range(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(setting))):
        TransformerEncoder(**setting)


class TestMiniLM:
    """The real weights, from the installed package."""

    TEXTS = (
        "Star Wars: a space opera of rebels against an empire",
        "Star Trek, the crew of a starship explores the galaxy",
        "A romantic comedy about a wedding in Paris",
        "Two lovers meet in France and marry",
        "",
        "Amélie (2001). Comedy|Romance",
    )

    @pytest.fixture(autouse=True)
    def _weights(self) -> None:
        pytest.importorskip(
            PACKAGES[MINILM], reason="the weights package of the extra 'minilm' is not installed"
        )

    @pytest.fixture
    def vectors(self) -> Tensor:
        return TransformerEncoder(cache=False, batch_size=4).encode(self.TEXTS)

    def test_equals_one_text_at_a_time(self, vectors: Tensor) -> None:
        expected = one_by_one(resolve(MINILM).path, list(self.TEXTS), "mean", normalize=True)
        assert vectors.shape == (6, 384)
        torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)

    def test_similar_texts_are_nearer(self, vectors: Tensor) -> None:
        similarity = vectors @ vectors.T
        for near, far in (((0, 1), (0, 2)), ((0, 1), (1, 3)), ((2, 3), (0, 3)), ((2, 5), (0, 5))):
            assert similarity[near] > similarity[far]

    def test_description_and_cache_across_encoders(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first = TransformerEncoder()
        vectors = first.encode(self.TEXTS)
        assert first.describe()["origin"] == "package"
        monkeypatch.setattr(transformer, "_load", lambda *_: pytest.fail("the model was loaded"))
        assert torch.equal(TransformerEncoder(model="minilm").encode(self.TEXTS), vectors)
        [file] = cache.path("x").parent.iterdir()
        assert file.suffix == ".safetensors"
