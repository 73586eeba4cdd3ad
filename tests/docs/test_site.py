"""The site as built: everything public is in it, nothing is fetched, nothing is left undrawn."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import DOCS, ROOT
from tests.docs.public import public

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DOCS.is_dir(), reason="docs are not beside the tests"),
]

LOADED = re.compile(r"""<(?:script|img|iframe|link|source)\b[^>]*?\b(?:src|href)=["']?([^"'\s>]+)""")
LEFT = re.compile(r':(?:class|func|meth|mod|attr):(?:<code>|`)|<\w+ class="arithmatex">|<mtext>\\')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site in ``GNNSEG_SITE``, or one that is built now, strictly: dead links and anchors are errors."""
    if built := os.environ.get("GNNSEG_SITE"):
        return Path(built)
    if any(importlib.util.find_spec(name) is None for name in ("material", "mkdocstrings", "latex2mathml")):
        pytest.skip("mkdocs is not installed; it comes with gnnseg[docs]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, str]:
    """HTML by path."""
    return {path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")}


def test_everything_public_is_in_it(pages: dict[str, str]) -> None:
    found = {name for text in pages.values() for name in re.findall(r'\bid="(gnnseg\.[\w.]+)"', text)}
    wanted = [entry.name for entry in public() if entry.owner is None]
    assert [name for name in wanted if not found & set(paths(name))] == []
    assert {"gnnseg.encoders.LightGCN", "gnnseg.losses.BPR", "gnnseg.data.splits.ColdItems"} <= found


def paths(name: str) -> list[str]:
    """Where a class or function may be shown: where it is defined, or in a package above that exports it."""
    *modules, last = name.split(".")
    return [".".join([*modules[:depth], last]) for depth in range(1, len(modules) + 1)]


def test_every_command_is_in_it(pages: dict[str, str]) -> None:
    ids = set(re.findall(r'<h\d id="(gnnseg[\w-]*)"', pages["commands.html"]))
    assert {"gnnseg", "gnnseg-train", "gnnseg-ablate", "gnnseg-data-check"} <= ids


def test_nothing_is_fetched(pages: dict[str, str]) -> None:
    loaded = {(page, url) for page, text in pages.items() for url in LOADED.findall(text)}
    assert len(loaded) > len(pages)
    foreign = {(page, url) for page, url in loaded if url.startswith(("http", "//"))}
    assert foreign == set()


def test_nothing_is_left_undrawn(pages: dict[str, str]) -> None:
    assert {page: left for page, text in pages.items() if (left := LEFT.findall(text))} == {}
    assert pages["concepts/filters.html"].count('<math xmlns="http://www.w3.org/1998/Math/MathML"') > 30


def test_notebooks_are_pages(pages: dict[str, str]) -> None:
    for path in (DOCS / "notebooks").glob("*.ipynb"):
        cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
        title = cells[0]["source"][0].removeprefix("# ").strip()
        text = pages[f"notebooks/{path.stem}.html"]
        assert f">{title}<" in re.sub(r"<h1[^>]*>([^<]*)<a.*?</h1>", r">\1<", text).replace("&#39;", "'")
        assert text.count('<div class="highlight">') >= sum(cell["cell_type"] == "code" for cell in cells)


def test_internals_are_not_in_it(pages: dict[str, str]) -> None:
    ids = {name for text in pages.values() for name in re.findall(r'\bid="(gnnseg\.[\w.]+)"', text)}
    assert {name for name in ids if re.search(r"\._(?!_)", name)} == set()
