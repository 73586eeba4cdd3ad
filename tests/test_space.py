from __future__ import annotations

from typing import Any

import pytest
import yaml

from gnnseg.errors import ConfigError
from gnnseg.space import EXAMPLE, ends, holds, is_whole, resolve


def one(form: object) -> Any:
    return resolve({"train.epochs": form}, ["train"])["train.epochs"]


def test_choices() -> None:
    assert one((1, "a", {"name": "b"})) == [1, "a", {"name": "b"}]
    assert ends([1, 2, 3]) == [1, 2, 3]


def test_range() -> None:
    found = one({"low": 1, "high": 9})
    assert found == {"low": 1, "high": 9, "log": False, "step": None}
    assert ends(found) == [1, 9]
    assert one(found) == found


def test_text_that_yaml_does_not_read_as_a_number() -> None:
    assert one(yaml.safe_load("{low: 1e-3, high: 1e-1, log: true}"))["low"] == 0.001


def test_the_example_is_one() -> None:
    block = yaml.safe_load(EXAMPLE)["search"]
    assert resolve(block, ["train"]).keys() == block.keys()


@pytest.mark.parametrize(
    ("form", "whole"),
    [
        ({"low": 1, "high": 9}, True),
        ({"low": 1, "high": 9, "step": 2}, True),
        ({"low": 1, "high": 9.0}, False),
        ({"low": 1, "high": 9, "step": 0.5}, False),
    ],
)
def test_whole(form: dict[str, Any], whole: bool) -> None:
    assert is_whole(one(form)) == whole


@pytest.mark.parametrize(
    ("form", "inside", "outside"),
    [
        ([1, "a", None], [1, "a", None], [2, "b"]),
        ({"low": 1, "high": 9}, [1, 4, 9], [0, 10, 2.5, "4", None, True]),
        ({"low": 1, "high": 9, "step": 3}, [1, 4, 7], [2, 9]),
        ({"low": 0.1, "high": 0.9, "step": 0.2}, [0.1, 0.3, 0.7, 0.9], [0.2, 0.0, 1.1]),
        ({"low": 0.1, "high": 0.9, "log": True}, [0.1, 0.25], [0.0]),
    ],
)
def test_holds(form: object, inside: list[Any], outside: list[Any]) -> None:
    assert all(holds(one(form), value) for value in inside)
    assert not any(holds(one(form), value) for value in outside)


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        (3, "must be a list of choices or a range {low: 0.001, high: 0.1} (got 3)"),
        ("abc", "must be a list of choices or a range {low: 0.001, high: 0.1} (got 'abc')"),
        ([], "the list of choices is empty; name at least one"),
        ({"lo": 1, "high": 2}, "unknown key 'lo'; did you mean 'low'?"),
        ({"low": 1}, "'high' is missing; a range needs low and high"),
        ({"low": "x", "high": 2}, "'low' must be a finite number (got 'x')"),
        ({"low": 1, "high": float("inf")}, "'high' must be a finite number (got inf)"),
        ({"low": False, "high": True}, "'low' must be a finite number (got False)"),
        ({"low": 1, "high": [2]}, "'high' must be a finite number (got [2])"),
        ({"low": 2, "high": 2}, "'low' must be less than 'high' (got 2 and 2)"),
        ({"low": 3, "high": 2}, "'low' must be less than 'high' (got 3 and 2)"),
        ({"low": 0, "high": 2, "log": True}, "'low' must be positive where 'log' is true (got 0)"),
        ({"low": 1, "high": 2, "log": "yes"}, "'log' must be true or false (got 'yes')"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "'log' and 'step' exclude each other; leave out one"),
        ({"low": 1, "high": 9, "step": 0}, "'step' must be positive and at most high - low (got 0)"),
        ({"low": 1, "high": 9, "step": 10}, "'step' must be positive and at most high - low (got 10)"),
    ],
)
def test_bad_form(form: object, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one(form)
    assert str(caught.value).startswith(f"search of train.epochs: {problem}")
    assert "\n" not in str(caught.value)


def test_bad_block() -> None:
    with pytest.raises(ConfigError, match=r"'search' must map keys to what is tried \(got \[1\]\), as in"):
        resolve([1], ["train"])
    with pytest.raises(
        ConfigError, match=r"search of trian\.epochs: what can be searched lies in train, loss$"
    ):
        resolve({"trian.epochs": [1]}, ["train", "loss"])
