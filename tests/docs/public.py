"""What of gnnseg is public, and what its docstrings say."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import gnnseg


class Public(NamedTuple):
    """A public class, function or method.

    Attributes:
        name: Its import path.
        code: The class or the plain function.
        owner: The class of a method, else None.
    """

    name: str
    code: Any
    owner: type | None = None

    @property
    def docstrings(self) -> list[str]:
        """Its own docstring, then what it inherits: of the same method of the bases, and of its class."""
        if self.owner is None:
            bases = self.code.__mro__ if inspect.isclass(self.code) else [self.code]
            return [docstring(base) for base in bases]
        same = [vars(base)[self.last] for base in self.owner.__mro__ if self.last in vars(base)]
        return [docstring(plain(method)) for method in same] + [docstring(self.owner)]

    @property
    def last(self) -> str:
        """Its own name."""
        return self.name.rpartition(".")[2]


@functools.cache
def modules() -> list[str]:
    """Every module without an underscore in its path."""
    found = [module.name for module in pkgutil.walk_packages(gnnseg.__path__, "gnnseg.")]
    return ["gnnseg", *(name for name in found if "._" not in name and ".bundled" not in name)]


@functools.cache
def public() -> tuple[Public, ...]:
    """Classes and functions of all modules, and the methods of these classes, ``__init__`` included."""
    return tuple(entry for name in modules() for entry in _of(name))


def _of(name: str) -> Iterator[Public]:
    module = importlib.import_module(name)
    for key, code in vars(module).items():
        if key.startswith("_") or getattr(code, "__module__", None) != name:
            continue
        if inspect.isclass(code) or inspect.isfunction(code):
            yield Public(f"{name}.{key}", inspect.unwrap(code))
        if inspect.isclass(code):
            yield from _methods(f"{name}.{key}", code)


def _methods(name: str, owner: type) -> Iterator[Public]:
    for key, member in vars(owner).items():
        code = plain(member)
        written = inspect.isfunction(code) and code.__module__ == owner.__module__
        if written and "<string>" not in code.__code__.co_filename and (key == "__init__" or key[0] != "_"):
            yield Public(f"{name}.{key}", code, owner)


def plain(member: Any) -> Any:
    """The function in a method, a property or a decorator."""
    member = getattr(member, "__func__", getattr(member, "fget", member))
    return inspect.unwrap(getattr(member, "func", member))  # cached properties


def docstring(code: Any) -> str:
    """Its own docstring without indentation; empty where there is none."""
    return inspect.cleandoc(vars(code).get("__doc__") or "" if inspect.isclass(code) else code.__doc__ or "")


def named(doc: str, section: str) -> list[str]:
    """What a section such as ``Args`` of a docstring has entries for."""
    found = re.search(rf"^{section}:\n((?: .*\n|\n)*)", doc + "\n", re.MULTILINE)
    return re.findall(r"^    \*{0,2}(\w+)(?: \(.*?\))?: ", found.group(1), re.MULTILINE) if found else []
