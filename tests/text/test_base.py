import subprocess
import sys

import pytest

from gnnseg.errors import DataError
from gnnseg.text import TEXT_ENCODERS, Joined, TfidfEncoder, TransformerEncoder, YearEncoder
from gnnseg.text.base import as_texts


def test_texts_pass_through() -> None:
    assert as_texts(("a", "", "né", "\x00\x1f")) == ["a", "", "né", "\x00\x1f"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one string", "got one string"),
        (["a", None], r"text 1 must be a string \(got NoneType\)"),
        ([float("nan")], r"text 0 must be a string \(got float\)"),
        (["a\ud800"], "text 0 is not valid Unicode"),
    ],
)
def test_what_is_no_text(texts: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_texts(texts)


def test_namespace_is_the_registry() -> None:
    assert TEXT_ENCODERS.classes() == {
        "Joined": Joined,
        "TfidfEncoder": TfidfEncoder,
        "TransformerEncoder": TransformerEncoder,
        "YearEncoder": YearEncoder,
    }
    encoder = TEXT_ENCODERS.create({"name": "TransformerEncoder", "pooling": "cls"})
    assert isinstance(encoder, TransformerEncoder)
    assert encoder.pooling == "cls"


def test_import_is_light() -> None:
    code = "import sys, gnnseg.text; print({'transformers', 'sklearn', 'huggingface_hub'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
