"""Dotted keys of a config's content: ``encoder.dim=32`` and the like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from gnnseg.errors import ConfigError


def override(content: dict[str, Any], text: str) -> None:
    """Apply ``key.key=value`` in place, the value in YAML.

    Raises:
        ConfigError: If it does not look so, or leads into a value.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError(f"an override must look like key=value (got {text!r})")
    try:
        put(content, key, yaml.safe_load(value))
    except yaml.YAMLError:
        raise ConfigError(f"override {key}: the value is not valid YAML (got {value!r})") from None


def put(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in place; a component given by its name alone becomes a mapping.

    Raises:
        ConfigError: If the key leads into a value.
    """
    *parents, last = key.split(".")
    at = content
    for parent in parents:
        inner = at.get(parent)
        if inner is not None and not isinstance(inner, str | Mapping):
            raise ConfigError(f"override {key}: '{parent}' holds a value, not keys (got {inner!r})")
        at[parent] = {"name": inner} if isinstance(inner, str) else dict(inner or {})
        at = at[parent]
    at[last] = value


def pick(content: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key; None where there is none."""
    found: Any = content
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
