"""One HTML file: data that cannot become markup, scripts and styles allowed by their hash alone."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from gnnseg.files import to_json

SCRIPTS = (
    "core.js",
    "charts.js",
    "theme.js",
    "map.js",
    "segments.js",
    "people.js",
    "fairness.js",
    "sections.js",
)
"""Of the page of a run."""

ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""What could end a script element, open markup or end a line of JavaScript."""


def page(title: str, data: Any, scripts: Sequence[str] = SCRIPTS) -> str:
    """The whole page.

    Args:
        title: Shown in the browser's tab; any text.
        data: For JSON; any text in it stays text.
        scripts: Files of JavaScript, in this order.
    """
    style = _read("style.css")
    script = "(() => {\n'use strict';\n" + "\n".join(_read(name) for name in scripts) + "\n})();"
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(_clean(title)),
        "style": style,
        "data": safe_json(data),
        "script": script,
    }
    template = _read("page.html")
    pieces = template.split("%%")  # text, name, text, name, ..., text
    return "".join(parts[piece] if n % 2 else piece for n, piece in enumerate(pieces))


def safe_json(data: Any) -> str:
    """JSON without any character that HTML or JavaScript reads as its own."""
    text = _clean(to_json(data, indent=None))
    for character, escape in ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _clean(text: str) -> str:
    """Without lone surrogates, which are no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _read(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
