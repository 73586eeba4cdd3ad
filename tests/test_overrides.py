from __future__ import annotations

from typing import Any

import pytest

from gnnseg.errors import ConfigError
from gnnseg.overrides import override, pick, put


def test_override_makes_what_is_missing() -> None:
    content: dict[str, Any] = {"encoder": "LightGCN", "train": {"epochs": 3}}
    inner = content["train"]
    for text in ("encoder.dim=4", "train.epochs=5", "head.name=FiLM"):
        override(content, text)
    assert content == {
        "encoder": {"name": "LightGCN", "dim": 4},
        "train": {"epochs": 5},
        "head": {"name": "FiLM"},
    }
    assert inner == {"epochs": 3}


def test_put_keeps_the_value_as_it_is() -> None:
    content: dict[str, Any] = {}
    put(content, "a.b", "1.0")
    assert content == {"a": {"b": "1.0"}}


def test_put_into_a_value() -> None:
    with pytest.raises(ConfigError, match=r"override a\.b: 'a' holds a value, not keys \(got 3\)"):
        put({"a": 3}, "a.b", 1)


@pytest.mark.parametrize(("key", "value"), [("a", {"b": 1}), ("a.b", 1), ("a.c", None), ("a.b.c", None)])
def test_pick(key: str, value: object) -> None:
    assert pick({"a": {"b": 1}}, key) == value
