"""What a search may try for one key of a config: a list of choices, or a range of numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from gnnseg.errors import ConfigError, unknown

Form = list[Any] | dict[str, Any]
"""Choices, or ``low``, ``high``, ``log`` and ``step``; whole numbers where all that is given is whole."""

EXAMPLE = "search: {train.learning_rate: {low: 1.0e-3, high: 0.1, log: true}}"

_RANGE = ("low", "high", "log", "step")


def resolve(search: object, parts: Collection[str]) -> dict[str, Form]:
    """Check each key's choices or range and fill in what a range leaves out.

    Args:
        search: What a config's ``search`` block holds.
        parts: What keys may begin with.

    Raises:
        ConfigError: If it is no such block, or nothing lies in one of its ranges.
    """
    if not isinstance(search, Mapping):
        raise ConfigError(f"'search' must map keys to what is tried (got {search!r}), as in {EXAMPLE}")
    for key in search:
        if str(key).split(".")[0] not in parts:
            raise ConfigError(f"search of {key}: what can be searched lies in {', '.join(parts)}")
    return {str(key): _resolve(str(key), form) for key, form in search.items()}


def _resolve(key: str, form: object) -> Form:
    if isinstance(form, list | tuple):
        if not form:
            raise ConfigError(f"search of {key}: the list of choices is empty; name at least one")
        return list(form)
    if not isinstance(form, Mapping):
        raise ConfigError(
            f"search of {key}: must be a list of choices or a range {{low: 0.001, high: 0.1}} (got {form!r})"
        )
    for name in form:
        if name not in _RANGE:
            raise ConfigError(f"search of {key}: {unknown('key', name, _RANGE)}")
    low, high = (_number(key, name, form.get(name)) for name in ("low", "high"))
    step = None if form.get("step") is None else _number(key, "step", form["step"])
    log = form.get("log", False)
    if not isinstance(log, bool):
        raise ConfigError(f"search of {key}: 'log' must be true or false (got {log!r})")
    _check_range(key, low, high, log, step)
    return {"low": low, "high": high, "log": log, "step": step}


def _number(key: str, name: str, value: object) -> int | float:
    """A number; YAML reads ``1e-3`` as text, which is meant as one."""
    if value is None:
        raise ConfigError(f"search of {key}: '{name}' is missing; a range needs low and high")
    try:
        number = value if isinstance(value, int) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise ConfigError(f"search of {key}: '{name}' must be a finite number (got {value!r})")
    return number


def _check_range(key: str, low: float, high: float, log: bool, step: float | None) -> None:
    problem = None
    if low >= high:
        problem = f"'low' must be less than 'high' (got {low} and {high})"
    elif log and low <= 0:
        problem = f"'low' must be positive where 'log' is true (got {low})"
    elif log and step is not None:
        problem = f"'log' and 'step' exclude each other; leave out one (got step {step})"
    elif step is not None and not 0 < step <= high - low:
        problem = f"'step' must be positive and at most high - low (got {step})"
    if problem is not None:
        raise ConfigError(f"search of {key}: {problem}")


def ends(form: Form) -> list[Any]:
    """The values whose validity says that the config takes all: every choice, or both ends of the range."""
    return list(form) if isinstance(form, list) else [form["low"], form["high"]]


def is_whole(form: Mapping[str, Any]) -> bool:
    """Whether a range holds whole numbers only."""
    return all(isinstance(form[name], int) for name in ("low", "high", "step") if form[name] is not None)


def holds(form: Form, value: object) -> bool:
    """Whether a value is one of the choices or lies in the range."""
    if isinstance(form, list):
        return value in form
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not form["low"] <= value <= form["high"]
    ):
        return False
    steps = (value - form["low"]) / (form["step"] or (1 if is_whole(form) else math.inf))
    return math.isclose(steps, round(steps), abs_tol=1e-9)
