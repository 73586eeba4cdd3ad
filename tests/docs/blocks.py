"""The blocks of code in pages, and a reader who types them in order.

* ``python`` is run, in one namespace a page; if its first line is a comment that names a file, it is added to
  that file instead.
* ``yaml`` is read; with such a first line it is added to that file.
* ``console`` holds commands after ``$``, which are run.
* ``sh`` holds commands that need more than a test has: they are parsed, not run.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import click

from gnnseg.cli import main
from tests.cli.invoking import invoke

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^(\$ )?([A-Z]\w*=\S* )*")
FILE = re.compile(r"# ([\w/.-]+\.(?:py|yaml|csv|sql))\b[^\n]*\n")


class Block(NamedTuple):
    """A block of code: its language, its text and the line that it starts at."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that the block is to be kept in."""
        found = FILE.match(self.text)
        return found.group(1) if found else None


def blocks(page: Path) -> list[Block]:
    """All of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 2) for m in FENCE.finditer(text)]


def joined(block: Block) -> list[str]:
    """Its lines, those that end in a backslash with the next."""
    return re.sub(r"\\\n *", "", block.text).splitlines()


def commands(block: Block) -> list[list[str]]:
    """Arguments of each ``gnnseg`` command in a block, comments left out."""
    lines = [PROMPT.sub("", line) for line in joined(block)]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("gnnseg ")]


def follow(page: Path, folder: Path) -> int:
    """Do what a page says in ``folder``, the working directory; how many blocks and commands were run."""
    names: dict[str, Any] = {"__name__": f"docs.{page.stem}"}
    done = 0
    for block in blocks(page):
        if block.file and block.language in ("python", "yaml"):
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("a", encoding="utf-8") as file:
                file.write(block.text + "\n")
        elif block.language == "python":
            code = "\n" * (block.line - 1) + block.text  # so that tracebacks tell the line of the page
            exec(compile(code, str(page), "exec"), names)
            done += 1
        elif block.language == "console":
            assert all(line.startswith(("$ gnnseg ", "#")) for line in joined(block)), page
            for words in commands(block):
                result = invoke(*words)
                assert result.exit_code == 0, (page.name, words, result.stderr)
                done += 1
    return done


def parse(words: list[str]) -> None:
    """Refuse a command whose options or arguments do not exist.

    Raises:
        click.UsageError: If there are such.
    """
    command: click.Command = main
    name, rest = "gnnseg", list(words)
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(click.Context(command, info_name=name), rest)
        assert found is not None
        command = found
    command.make_context(name, rest)
