"""From a YAML spec to a checked component: the namespace is the registry, the signature is the schema.

A spec is a name or a mapping with a ``name`` and hyper-parameters. A bare name is looked up in the
namespace of its kind (``LightGCN`` is ``gnnseg.encoders.LightGCN``), a name with a dot is an import path
(``mylab.models.MyGNN``). A hyper-parameter is a keyword-only parameter of ``__init__``; its annotation is
checked by pydantic both when a config is read and when the class is built in Python. Where ``__init__``
takes ``**kwargs``, the keyword-only parameters of the next class in line are taken as well.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, cast, get_args

from annotated_types import Ge, Gt, Lt
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from gnnseg.errors import ConfigError, unknown

Spec = str | Mapping[str, Any]
"""A component as written in YAML: its name, or its name and hyper-parameters."""

PositiveInt = Annotated[int, Gt(0)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Probability = Annotated[float, Ge(0), Lt(1)]

T = TypeVar("T", bound="Component")


@dataclass(frozen=True, slots=True, eq=False)
class Hyperparameter:
    """One keyword-only parameter of a component: its type, and its default if it has one.

    Two are equal only if they are one object, so that defaults which cannot be hashed do not matter.
    """

    annotation: Any
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        """Whether a config must give it."""
        return self.default is inspect.Parameter.empty


class Component:
    """Base of everything that YAML can name: hyper-parameters are checked whenever one is built.

    Raises:
        ConfigError: If a hyper-parameter has the wrong type or is out of range.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _checked(cls.__init__)  # type: ignore[method-assign]

    @classmethod
    def hyperparameters(cls) -> dict[str, Hyperparameter]:
        """All hyper-parameters, those of the bases first."""
        found: list[dict[str, Hyperparameter]] = []
        for owner in cls.__mro__:
            init = owner.__dict__.get("__init__")
            if init is None or owner is object:
                continue
            own, passes_on = _own_hyperparameters(init)
            found.append(own)
            if not passes_on:
                break
        return {name: parameter for own in reversed(found) for name, parameter in own.items()}


@functools.cache
def _own_hyperparameters(init: Callable[..., None]) -> tuple[dict[str, Hyperparameter], bool]:
    """The keyword-only parameters of one ``__init__``, and whether it passes others on."""
    init = inspect.unwrap(init)
    own: dict[str, Hyperparameter] = {}
    passes_on = False
    for parameter in inspect.signature(init).parameters.values():
        passes_on |= parameter.kind is parameter.VAR_KEYWORD
        if parameter.kind is parameter.KEYWORD_ONLY:
            annotation = parameter.annotation
            if isinstance(annotation, str):
                annotation = eval(annotation, init.__globals__)
            own[parameter.name] = Hyperparameter(annotation, parameter.default)
    return own, passes_on


def _checked(init: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(init)
    def checked_init(self: Component, *args: Any, **kwargs: Any) -> None:
        own, _ = _own_hyperparameters(init)
        given = {name: value for name, value in kwargs.items() if name in own}
        checked = _validate({name: own[name] for name in given}, given, f"{type(self).__name__}: ")
        init(self, *args, **{**kwargs, **checked})

    return checked_init


def _validate(
    parameters: Mapping[str, Hyperparameter], given: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """Check ``given`` against ``parameters``; the result holds every parameter, defaults included."""
    model = _model(tuple(parameters.items()))
    try:
        checked = model(**given)
    except ValidationError as error:
        raise ConfigError(describe(error, where, parameters)) from None
    return {name: getattr(checked, name) for name in parameters}


@functools.cache
def _model(parameters: tuple[tuple[str, Hyperparameter], ...]) -> type[BaseModel]:
    """The parameters as a pydantic model; made once, as it takes a thousand times as long as a check."""
    fields: dict[str, Any] = {
        name: (p.annotation, ... if p.required else p.default) for name, p in parameters
    }
    config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        protected_namespaces=(),
        validate_default=True,
        allow_inf_nan=False,
    )
    return create_model("Hyperparameters", __config__=config, **fields)


def describe(error: ValidationError, where: str, known: Mapping[str, Any]) -> str:
    """Put a pydantic error in one line: what is wrong, what was received, what to do.

    Args:
        error: What pydantic found.
        where: What was read, for the start of the line.
        known: Fields by name, with their ``annotation``.
    """
    parts = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            parents, (last,) = problem["loc"][:-1], problem["loc"][-1:]
            inside = f" in '{'.'.join(map(str, parents))}'" if parents else ""
            parts.append(unknown(f"key{inside}", last, _fields(known, parents)))
        elif problem["type"] == "value_error":
            parts.append(problem["msg"].removeprefix("Value error, "))
        elif problem["type"] == "missing":
            parts.append(f"'{key}' is missing")
        else:
            parts.append(f"'{key}' {problem['msg'].removeprefix('Input ')} (got {problem['input']!r})")
    return where + "; ".join(dict.fromkeys(parts))


def _fields(known: Mapping[str, Any], parents: Iterable[object]) -> Mapping[str, Any]:
    """The fields of the model that the fields ``parents`` lead to."""
    for parent in parents:
        annotation = getattr(known.get(str(parent)), "annotation", None)
        models = [m for m in (annotation, *get_args(annotation)) if hasattr(m, "model_fields")]
        known = models[0].model_fields if models else {}
    return known


@dataclass(frozen=True)
class Kind(Generic[T]):
    """One kind of component, such as encoders: its base class and the namespace of its names."""

    noun: str
    base: type[T]
    namespace: str

    def classes(self) -> dict[str, type[T]]:
        """The concrete classes of this kind that the namespace exports, by name."""
        module = importlib.import_module(self.namespace)
        exported = {name: getattr(module, name) for name in module.__all__}
        return {name: cls for name, cls in exported.items() if self._accepts(cls)}

    def find(self, name: str) -> type[T]:
        """The class that ``name`` stands for.

        Raises:
            ConfigError: If there is none, or it is not of this kind.
        """
        if "." not in name:
            classes = self.classes()
            if name not in classes:
                raise ConfigError(unknown(self.noun, name, classes))
            return classes[name]
        module_name, _, class_name = name.rpartition(".")
        if not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"{self.noun} '{name}' is no import path such as mylab.models.MyGNN")
        try:
            found = getattr(importlib.import_module(module_name), class_name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"cannot import {self.noun} '{name}': {error}") from None
        if not self._accepts(found):
            raise ConfigError(f"'{name}' is not a concrete subclass of {self.base.__name__}")
        return found  # type: ignore[no-any-return]

    def resolve(self, spec: Spec) -> dict[str, Any]:
        """The spec with its name and every hyper-parameter, defaults filled in and checked, as YAML has it.

        Raises:
            ConfigError: For an unknown name or key, or a value of the wrong type or out of range.
        """
        name, given = self._parts(spec)
        checked = _validate(self.find(name).hyperparameters(), given, f"{self.noun} {name}: ")
        return {"name": name, **{key: _plain(value) for key, value in checked.items()}}

    def create(self, spec: Spec | T, *context: Any) -> T:
        """Build the component; ``context`` goes to the positional parameters of ``__init__``."""
        if isinstance(spec, self.base):
            return spec
        resolved = self.resolve(cast(Spec, spec))
        return self.find(resolved.pop("name"))(*context, **resolved)

    def _parts(self, spec: object) -> tuple[str, dict[str, Any]]:
        if isinstance(spec, str):
            return spec, {}
        if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
            raise ConfigError(f"{self.noun} must be a name or a mapping with a 'name' (got {spec!r})")
        return spec["name"], {str(key): value for key, value in spec.items() if key != "name"}

    def _accepts(self, found: object) -> bool:
        return inspect.isclass(found) and issubclass(found, self.base) and not inspect.isabstract(found)


def _plain(value: Any) -> Any:
    """Lists for tuples, so that what was resolved equals itself after a round trip through YAML."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
