"""Values that a component must refuse, read off its own annotations."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

from gnnseg.components import Component, Kind


def wrong_values(annotation: Any) -> list[Any]:
    """A value of the wrong type, and one beyond each bound."""
    if get_origin(annotation) is Literal:
        return ["nonsense", 7]
    wrong: list[Any] = ["nonsense"]
    if get_origin(annotation) is Annotated:
        for bound in get_args(annotation)[1:]:
            if isinstance(bound, Gt):
                wrong.append(bound.gt)
            elif isinstance(bound, Lt):
                wrong.append(bound.lt)
            elif isinstance(bound, Ge):
                wrong.append(bound.ge - 1)
            elif isinstance(bound, Le):
                wrong.append(bound.le + 1)
    return wrong


def wrong_hyperparameters(kind: Kind[Any]) -> list[tuple[type[Component], str, Any]]:
    """Every class of a kind with each of its hyper-parameters and each wrong value."""
    return [
        (cls, name, value)
        for cls in kind.classes().values()
        for name, parameter in cls.hyperparameters().items()
        for value in wrong_values(parameter.annotation)
    ]
