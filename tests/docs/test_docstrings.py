"""Every public name is documented: summary, hyper-parameters, shapes, errors, source."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Any

import pytest

from gnnseg import errors
from gnnseg.baselines import BASELINES
from gnnseg.components import Kind
from gnnseg.encoders import ENCODERS
from gnnseg.heads import HEADS
from gnnseg.local import LOCAL_MODELS
from gnnseg.losses import LOSSES
from gnnseg.new_items import NEW_ITEMS
from gnnseg.new_users import NEW_USERS
from gnnseg.regularizers import REGULARIZERS
from gnnseg.sampling import SAMPLERS
from gnnseg.segments import SEGMENTERS
from gnnseg.text import TEXT_ENCODERS
from tests.docs.public import Public, docstring, modules, named, public

ARRAY = re.compile(r"(Tensor|\w*Array|Counts|np\.ndarray|sp\.csr_matrix)( \| None)?$")
SHAPE = re.compile(r"\[[^\]]*\]|scalar|any shape")
SOURCE = re.compile(r"arXiv|et al\.|\b10\.\d{4}/|\b\d{4}\.\d{4,5}\b|\b[A-Z]\w+ \d{4}\b")
MODELS: list[Kind[Any]] = [ENCODERS, HEADS, LOCAL_MODELS, LOSSES, REGULARIZERS, SAMPLERS, SEGMENTERS]
MODELS += [BASELINES, NEW_ITEMS, NEW_USERS, TEXT_ENCODERS]
OWN = {"BinaryCrossEntropy", "ByColumn", "ByTime", "Hard", "Lift", "OneSegment", "Popularity", "Random"}
OWN |= {"GroupPrior", "Joined", "Shared", "Uniform", "Views", "YearEncoder"}
"""What no paper is needed for: controls, sums of what has one, and textbook formulas."""


def short(entry: Public) -> str:
    return entry.name.removeprefix("gnnseg.")


def test_it_finds_what_is_public() -> None:
    found = {entry.name for entry in public()}
    assert {"gnnseg.losses.BPR", "gnnseg.losses.BPR.forward", "gnnseg.pipeline.fit"} <= found
    assert {"gnnseg.encoders.lightgcn.LightGCN.__init__", "gnnseg.data.ids.IdMap.rows"} <= found
    assert not [name for name in found if re.search(r"\._(?!_init__)", name)]


def test_modules_have_summaries() -> None:
    lines = {name: docstring_of_module(name).partition("\n")[0] for name in modules()}
    assert not [name for name, line in lines.items() if not line.endswith((".", ":"))]


def docstring_of_module(name: str) -> str:
    return inspect.getdoc(__import__(name, fromlist=["_"])) or ""


def test_everything_has_a_summary() -> None:
    def lacks(entry: Public) -> bool:
        own = entry.docstrings[:-1] if entry.owner and entry.last != "__init__" else entry.docstrings
        line = next(filter(None, own), "").partition("\n\n")[0]
        return not line or line[-1] not in ".:"

    assert [short(entry) for entry in public() if lacks(entry)] == []


def test_keyword_only_parameters_are_named() -> None:
    """A class names those of its ``__init__``, or inherits the words from the base that declares them."""

    def lacks(entry: Public) -> set[str]:
        if inspect.isclass(entry.code):
            return set()
        parameters = inspect.signature(entry.code).parameters.values()
        wanted = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        documents = [docstring(base) for base in entry.owner.__mro__] if entry.last == "__init__" else []
        return wanted - {name for doc in [*entry.docstrings, *documents] for name in named(doc, "Args")}

    assert {short(entry): found for entry in public() if (found := lacks(entry))} == {}


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.noun)
def test_hyperparameters_are_named(kind: Kind[Any]) -> None:
    """All that YAML may say of a class stands in its ``Args`` or in those of the base that takes it."""
    for cls in kind.classes().values():
        documented = {name for base in cls.__mro__ for name in named(docstring(base), "Args")}
        assert set(cls.hyperparameters()) <= documented, cls


def test_no_parameter_is_named_that_is_not_there() -> None:
    def extra(entry: Public) -> set[str]:
        init = entry.code.__init__ if inspect.isclass(entry.code) else entry.code
        if not inspect.isfunction(init):
            return set()
        return set(named(docstring(entry.code), "Args")) - set(inspect.signature(init).parameters)

    assert {short(entry): found for entry in public() if (found := extra(entry))} == {}


def test_arrays_have_shapes() -> None:
    """Who takes or gives an array says how long it is; what it means is for readers to judge."""

    def lacks(entry: Public) -> bool:
        if inspect.isclass(entry.code):
            return False
        signature = inspect.signature(entry.code)
        annotations = [str(p.annotation) for p in signature.parameters.values()]
        arrays = any(ARRAY.match(a) for a in [*annotations, str(signature.return_annotation)])
        return arrays and not any(SHAPE.search(doc) for doc in entry.docstrings)

    assert [short(entry) for entry in public() if lacks(entry)] == []


def test_errors_are_named() -> None:
    """Each error of gnnseg that a function raises itself stands under ``Raises``."""

    def lacks(entry: Public) -> set[str]:
        if inspect.isclass(entry.code):
            return set()
        tree = ast.parse(textwrap.dedent(inspect.getsource(entry.code)))
        thrown = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
        calls = [error.func if isinstance(error, ast.Call) else error for error in thrown]
        ours = {ast.unparse(call) for call in calls if hasattr(errors, ast.unparse(call))}
        return ours - {name for doc in entry.docstrings for name in named(doc, "Raises")}

    assert {short(entry): found for entry in public() if (found := lacks(entry))} == {}


def test_methods_have_sources() -> None:
    """A component names its paper, or its base or module does, unless it needs none."""
    without = set()
    for kind in MODELS:
        for name, cls in kind.classes().items():
            documents = [docstring(base) for base in cls.__mro__ if base.__module__.startswith("gnnseg.")]
            if not any(SOURCE.search(doc) for doc in [*documents, docstring_of_module(cls.__module__)]):
                without.add(name)
    assert without == OWN
