import pytest

from gnnseg import errors
from gnnseg.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    GnnsegError,
    NotFittedError,
    TooLargeError,
    TrainingError,
    differences,
    unknown,
)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (ConfigError, ValueError),
        (DataError, ValueError),
        (NotFittedError, RuntimeError),
        (CheckpointError, Exception),
        (TrainingError, RuntimeError),
        (TooLargeError, MemoryError),
    ],
)
def test_hierarchy(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, GnnsegError)
    assert issubclass(error, builtin)
    assert not issubclass(GnnsegError, (ValueError, RuntimeError))


def test_all_errors_are_deliberate() -> None:
    found = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, Exception)]
    assert len(found) == 7
    assert all(issubclass(c, GnnsegError) for c in found)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("LightGNC", "LightGCN"),
        ("lightgcn", "LightGCN"),
        ("LIGHTGCN", "LightGCN"),
        ("GraphSage", "GraphSAGE"),
        ("Facto", "Factorization"),
        ("ease", "EASE"),
    ],
)
def test_nearest_name(name: str, near: str) -> None:
    known = ["LightGCN", "GraphSAGE", "Factorization", "EASE"]
    assert unknown("encoder", name, known) == f"unknown encoder '{name}'; did you mean '{near}'?"


def test_all_names_where_none_is_near() -> None:
    assert unknown("encoder", "xyz", {"b": 1, "a": 2}) == "unknown encoder 'xyz'; known: a, b"
    assert unknown("encoder", "xyz", iter([])) == "unknown encoder 'xyz'; known: none"


def test_names_that_are_not_text() -> None:
    assert unknown("user", 12, ["123"]) == "unknown user '12'; did you mean '123'?"
    assert unknown("user", None, ["7"]) == "unknown user 'None'; known: 7"


class TestDifferences:
    def test_none(self) -> None:
        assert differences({}, {}) == ""
        assert differences({"a": {"b": [1], "c": {}}}, {"a": {"c": {}, "b": [1]}}) == ""

    def test_by_dotted_key(self) -> None:
        there, here = {"a": {"b": 1, "c": 2}, "d": None}, {"a": {"b": 1, "c": "x"}, "d": {"e": 0}}
        assert differences(there, here) == (
            "a.c 2 there, 'x' here; d.e absent there, 0 here; d None there, absent here"
        )

    def test_the_first_few(self) -> None:
        assert differences({}, dict.fromkeys("abcde", 1), most=2) == (
            "a absent there, 1 here; b absent there, 1 here; and 3 more"
        )
