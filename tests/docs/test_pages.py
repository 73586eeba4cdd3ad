"""What pages say to do works: their blocks are run in order, their commands exist, their YAML is read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
import yaml

from gnnseg.config import KINDS
from gnnseg.data import SOURCES, SPLITS
from tests.cli.invoking import output
from tests.docs.blocks import DOCS, FENCE, ROOT, blocks, commands, follow, parse

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="docs are not beside the tests")

PAGES = sorted(DOCS.rglob("*.md"))
WRITTEN = [ROOT / "README.md", *PAGES]
NAMED = {**KINDS, "source": SOURCES, "split": SPLITS}
TEMPLATES = {"GraphEncoder", "SegmentHead", "Segmenter", "Loss", "Source"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def runs(page: Path) -> bool:
    return any(block.language in ("python", "console") and not block.file for block in blocks(page))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of a reader, whose own modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    others = {name: sys.modules.pop(name) for name in mylab()}  # of the tests of an installed package
    yield tmp_path
    for name in mylab():
        del sys.modules[name]
    sys.modules.update(others)


def mylab() -> list[str]:
    """Modules of the reader's package that are loaded."""
    return [module for module in sys.modules if module.partition(".")[0] == "mylab"]


@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=name)
def test_blocks_run_in_order(page: Path, folder: Path, pyg: ModuleType) -> None:
    assert follow(page, folder)


def test_these_pages_are_run() -> None:
    """So that nobody turns a page's blocks into mere text unnoticed."""
    ran = {name(page) for page in PAGES if runs(page)}
    pages = {"tour.md", "extending.md", "your-data.md", "cold-start.md", "concepts/filters.md"}
    assert {f"docs/{page}" for page in pages} <= ran


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_commands_exist(page: Path) -> None:
    for block in blocks(page):
        if block.language in ("sh", "console", ""):
            for words in commands(block):
                try:
                    parse(words)
                except click.UsageError as error:
                    pytest.fail(
                        f"{name(page)}:{block.line}: gnnseg {' '.join(words)}: {error.format_message()}"
                    )


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_yaml_names_what_there_is(page: Path) -> None:
    """Components exist and take these parameters, in blocks that are run and in blocks that are not."""
    for block in blocks(page):
        if block.language == "yaml":
            for key, spec in (item for document in documents(block.text) for item in document.items()):
                for one in spec if isinstance(spec, list) else [spec]:
                    if key in NAMED and "mylab" not in str(one):  # the reader's own
                        NAMED[key].resolve(one)


def documents(text: str) -> list[dict[str, Any]]:
    """A block as mappings; lines that repeat a key are choices, each by itself."""
    starts = re.findall(r"^(\w+):", text, re.MULTILINE)
    if len(set(starts)) < len(starts):
        return [yaml.safe_load(line) for line in text.splitlines() if line]
    return [yaml.safe_load(text)]


def test_templates_are_small() -> None:
    """What is promised: about 20 lines each."""
    page = DOCS / "extending.md"
    found = {}
    for block in blocks(page):
        for base, body in re.findall(r"^class \w+\((\w+)\):\n((?:    .*\n|\n)+)", block.text, re.MULTILINE):
            found[base] = len(body.strip().splitlines()) + 1
    assert set(found) >= TEMPLATES
    assert max(found.values()) <= 20


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """To files, whether mkdocs is there or not; the strict build looks at anchors, too."""
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", FENCE.sub("", page.read_text(encoding="utf-8"))):
        path = page.parent / target
        assert path.exists() or generated(path.resolve()), target


def generated(path: Path) -> bool:
    """Whether the site makes this page from code or a notebook."""
    inside = path.relative_to(DOCS).as_posix()
    return inside.startswith("api/") or inside == "commands.md" or path.with_suffix(".ipynb").is_file()


def test_fences_are_closed() -> None:
    for page in WRITTEN:
        text = page.read_text(encoding="utf-8")
        assert len(re.findall(r"^```", text, re.MULTILINE)) == 2 * len(FENCE.findall(text)), page


def test_help_keeps_its_lines() -> None:
    """The site shows help as it stands; click's mark must not be read as text, and then joins lines."""
    assert "\n  Start with:\n    gnnseg benchmark" in output("--help")
