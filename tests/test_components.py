import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest

from gnnseg.components import (
    Component,
    Kind,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
)
from gnnseg.errors import ConfigError


class Animal(Component, ABC):
    @abstractmethod
    def sound(self) -> str: ...


class Dog(Animal):
    def __init__(
        self,
        size: int,
        *,
        legs: PositiveInt = 4,
        speed: PositiveFloat = 1.5,
        name_of: str | None = None,
        coat: Literal["short", "long"] = "short",
    ) -> None:
        self.size, self.legs, self.speed, self.name_of, self.coat = size, legs, speed, name_of, coat

    def sound(self) -> str:
        return "bark"


class Puppy(Dog):
    def __init__(self, size: int, *, toys: NonNegativeInt = 1, legs: PositiveInt = 5, **kwargs: Any) -> None:
        super().__init__(size, legs=legs, **kwargs)
        self.toys = toys


class Wolf(Dog):
    """Takes nothing from the dog."""

    def __init__(self, size: int, *, pack: PositiveInt) -> None:
        super().__init__(size)
        self.pack = pack


class Poodle(Dog):
    """Has no ``__init__``."""


class Mutt(Puppy):
    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(size, **kwargs)


class Stray:
    pass


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Kind[Animal]:
    module = ModuleType("kennel")
    module.__all__ = ["Animal", "Dog", "Mutt", "Poodle", "Puppy", "Stray", "Wolf", "walk"]  # type: ignore[attr-defined]
    for cls in (Animal, Dog, Mutt, Poodle, Puppy, Stray, Wolf):
        setattr(module, cls.__name__, cls)
    module.walk = lambda: None  # type: ignore[attr-defined]
    module.Hidden = type("Hidden", (Dog,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kennel", module)
    return Kind("animal", Animal, "kennel")


DEFAULTS = {"legs": 4, "speed": 1.5, "name_of": None, "coat": "short"}


def test_classes(kind: Kind[Animal]) -> None:
    assert set(kind.classes()) == {"Dog", "Mutt", "Poodle", "Puppy", "Wolf"}


def test_bare_names(kind: Kind[Animal]) -> None:
    assert kind.find("Dog") is Dog
    assert kind.resolve("Dog") == {"name": "Dog", **DEFAULTS}
    assert kind.resolve({"name": "Dog", "legs": 3}) == {"name": "Dog", **DEFAULTS, "legs": 3}


def test_import_paths(kind: Kind[Animal]) -> None:
    assert kind.find("kennel.Hidden").__name__ == "Hidden"
    assert kind.find(f"{__name__}.Puppy") is Puppy
    resolved = kind.resolve({"name": f"{__name__}.Puppy", "toys": 0})
    assert resolved["name"] == f"{__name__}.Puppy"
    assert kind.create(resolved, 3).toys == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "near"), [("dog", "Dog"), ("Pupy", "Puppy"), ("Hidden", None)])
def test_unknown_name(kind: Kind[Animal], name: str, near: str | None) -> None:
    hint = rf"did you mean '{near}'\?" if near else "known: Dog, Mutt, Poodle, Puppy, Wolf"
    with pytest.raises(ConfigError, match=f"^unknown animal '{name}'; {hint}$"):
        kind.resolve(name)


@pytest.mark.parametrize("name", ["Animal", "Stray", "walk"])
def test_abstract_and_other_classes(kind: Kind[Animal], name: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown animal '{name}'"):
        kind.find(name)
    with pytest.raises(ConfigError, match=f"'kennel.{name}' is not a concrete subclass of Animal"):
        kind.find(f"kennel.{name}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere.Dog", "cannot import animal 'nowhere.Dog': No module named 'nowhere'"),
        ("kennel.Cat", "cannot import animal 'kennel.Cat': module 'kennel' has no attribute 'Cat'"),
        (".Dog", "animal '.Dog' is no import path such as mylab.models.MyGNN"),
        ("kennel.", "animal 'kennel.' is no import path"),
        ("kennel..Dog", "is no import path"),
        ("my kennel.Dog", "is no import path"),
    ],
)
def test_import_that_fails(kind: Kind[Animal], name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        kind.resolve(name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_module_that_cannot_be_imported(
    kind: Kind[Animal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot import animal 'needs_more.Dog': No module named 'surely_"):
        kind.find("needs_more.Dog")


def test_unknown_key(kind: Kind[Animal]) -> None:
    with pytest.raises(ConfigError, match=r"^animal Dog: unknown key 'leg'; did you mean 'legs'\?$"):
        kind.resolve({"name": "Dog", "leg": 3})
    with pytest.raises(ConfigError, match="unknown key 'size'"):
        kind.resolve({"name": "Dog", "size": 3})  # positional parameters are no hyper-parameters


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("legs", 0),
        ("legs", 2.5),
        ("legs", "many"),
        ("legs", None),
        ("legs", [1]),
        ("speed", 0.0),
        ("speed", float("nan")),
        ("speed", float("inf")),
        ("coat", "curly"),
        ("name_of", 3),
    ],
)
def test_wrong_values(kind: Kind[Animal], key: str, value: object) -> None:
    where = rf"'{key}' .*\(got .*\)"
    with pytest.raises(ConfigError, match=f"^animal Dog: {where}$"):
        kind.resolve({"name": "Dog", key: value})
    with pytest.raises(ConfigError, match=f"^Dog: {where}$"):
        Dog(1, **{key: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=f": {where}$"):
        Mutt(1, **{key: value})


def test_messages(kind: Kind[Animal]) -> None:
    with pytest.raises(ConfigError) as caught:
        kind.resolve({"name": "Dog", "legs": -1, "coat": "curly", "paws": 1})
    assert str(caught.value) == (
        "animal Dog: 'legs' should be greater than 0 (got -1); 'coat' should be 'short' or 'long' "
        "(got 'curly'); unknown key 'paws'; known: coat, legs, name_of, speed"
    )


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [("speed", "1e-3", 1e-3), ("speed", 2, 2.0), ("legs", "3", 3), ("legs", 3.0, 3)],
)
def test_coercion(kind: Kind[Animal], key: str, given: object, value: float) -> None:
    resolved = kind.resolve({"name": "Dog", key: given})[key]
    assert resolved == value
    assert type(resolved) is type(value)
    built = getattr(Dog(1, **{key: given}), key)  # type: ignore[arg-type]
    assert built == value
    assert type(built) is type(value)


def test_required(kind: Kind[Animal]) -> None:
    assert Wolf.hyperparameters()["pack"].required
    assert not Dog.hyperparameters()["legs"].required
    with pytest.raises(ConfigError, match=r"^animal Wolf: 'pack' is missing$"):
        kind.resolve("Wolf")
    assert kind.resolve({"name": "Wolf", "pack": 5}) == {"name": "Wolf", "pack": 5}
    with pytest.raises(TypeError, match="pack"):
        Wolf(1)  # type: ignore[call-arg]


def test_inheritance(kind: Kind[Animal]) -> None:
    assert list(Puppy.hyperparameters()) == ["legs", "speed", "name_of", "coat", "toys"]
    assert kind.resolve("Puppy") == {"name": "Puppy", **DEFAULTS, "legs": 5, "toys": 1}
    assert list(Mutt.hyperparameters()) == list(Puppy.hyperparameters())
    assert kind.resolve("Poodle") == {"name": "Poodle", **DEFAULTS}
    assert list(Wolf.hyperparameters()) == ["pack"]
    mutt = kind.create({"name": "Mutt", "toys": 7, "coat": "long"}, 9)
    assert (mutt.size, mutt.toys, mutt.coat, mutt.legs) == (9, 7, "long", 5)  # type: ignore[attr-defined]
    assert Mutt(9).legs == 5


def test_create(kind: Kind[Animal]) -> None:
    dog = kind.create({"name": "Dog", "legs": 3}, 12)
    assert isinstance(dog, Dog)
    assert (dog.size, dog.legs) == (12, 3)
    assert kind.create(dog) is dog


@pytest.mark.parametrize("spec", [3, None, [], {}, {"nam": "Dog"}, {"name": 3}, {"name": None}])
def test_what_is_no_spec(kind: Kind[Animal], spec: Any) -> None:
    with pytest.raises(ConfigError, match=r"^animal must be a name or a mapping with a 'name' \(got .*\)$"):
        kind.resolve(spec)


def test_a_resolved_spec_resolves_to_itself(kind: Kind[Animal]) -> None:
    resolved = kind.resolve({"name": "Puppy", "speed": "2"})
    assert kind.resolve(resolved) == resolved
    given: Mapping[str, Any] = {"name": "Dog", "legs": 2}
    kind.resolve(given)
    assert given == {"name": "Dog", "legs": 2}


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (PositiveInt, [1, 10**9], [0, -1]),
        (NonNegativeInt, [0, 1], [-1]),
        (PositiveFloat, [1e-300, 5.0], [0.0, -1.0, float("nan"), float("inf")]),
        (NonNegativeFloat, [0.0, 5.0], [-1e-9, float("nan"), float("inf")]),
        (Probability, [0.0, 0.999], [1.0, -0.1, float("nan")]),
    ],
)
def test_ranges(annotation: Any, good: list[float], bad: list[float]) -> None:
    def init(self: Component, *, value: Any) -> None:
        self.value = value  # type: ignore[attr-defined]

    init.__annotations__["value"] = annotation
    cls = type("Holder", (Component,), {"__init__": init})
    for value in good:
        assert cls(value=value).value == value  # type: ignore[call-arg]
    for value in bad:
        with pytest.raises(ConfigError, match="Holder: 'value' should be"):
            cls(value=value)  # type: ignore[call-arg]


class Careless(Dog):
    def __init__(self, *, tail: PositiveInt = 0) -> None:
        super().__init__(1)


def test_wrong_defaults_are_found(kind: Kind[Animal]) -> None:
    with pytest.raises(ConfigError, match="'tail' should be greater than 0"):
        kind.resolve(f"{__name__}.Careless")
