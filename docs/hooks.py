"""What mkdocs asks while it builds the site: generated pages, and formulas without a script.

Pages of the Python interface, of the commands and of notebooks are made from the code and stand in no commit.
Formulas become MathML, which browsers draw themselves: no request, no font, no JavaScript.
"""

from __future__ import annotations

import ast
import html
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from gnnseg.cli import main

PACKAGE = Path(__file__).parent.parent / "gnnseg"
WIDTH = 84
"""Of help, in columns: what fits beside the navigation."""

SHOWN = {"image/png", "text/markdown", "text/plain"}
"""Kinds of results of notebooks."""

FORMULA = re.compile(r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.DOTALL)
ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):(?=<code>)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the Python interface into the navigation."""
    pages = [{"gnnseg": "api/index.md"}, *({path.stem: f"api/{path.stem}.md"} for path in parts())]
    for section in config.nav or []:
        for entry in section.get("Reference", []):
            if "Python" in entry:
                entry["Python"] = pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {"commands.md": commands_page(), "api/index.md": api_index()}
    pages |= {f"api/{path.stem}.md": api_page(path) for path in parts()}
    for path in sorted((Path(config.docs_dir) / "notebooks").glob("*.ipynb")):
        executed = Path(config.extra["notebooks"]) / path.name
        pages[f"notebooks/{path.stem}.md"] = notebook_page(executed if executed.is_file() else path)
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draw formulas, and drop the roles that docstrings mark names with."""
    return ROLE.sub("", FORMULA.sub(_drawn, content))


def _drawn(match: re.Match[str]) -> str:
    """One formula as MathML."""
    inline, block = match.group(2), match.group(3)
    tex = html.unescape(inline if block is None else block)
    return convert(tex, display="inline" if block is None else "block")


def commands_page() -> str:
    """Each command's own help."""
    head = """# Commands

What `--help` says, command by command, taken from the commands themselves. Exit codes: 0 done, 1 a clear
error in one line, 2 wrong usage. Results go to standard output, progress to standard error.
"""
    context = click.Context(main, info_name="gnnseg", terminal_width=WIDTH, **main.context_settings)
    return head + "".join(_helps(main, context))


def _helps(command: click.Command, context: click.Context) -> Iterator[str]:
    """The help of a command and of those below it."""
    level = "##" + "#" * context.command_path.count(" ")
    yield f"\n{level} {context.command_path}\n\n```text\n{command.get_help(context)}\n```\n"
    for name in command.list_commands(context) if isinstance(command, click.Group) else []:
        below = command.get_command(context, name)
        if below is not None and not below.hidden:
            yield from _helps(below, click.Context(below, context, name, terminal_width=WIDTH))


def parts() -> list[Path]:
    """Modules and packages directly in gnnseg."""
    return [path for path in sorted(PACKAGE.iterdir(), key=lambda path: path.stem) if is_code(path)]


def is_code(path: Path) -> bool:
    """Whether it is a public module or package."""
    return path.name[0] not in "_." and (path.suffix == ".py" or (path / "__init__.py").is_file())


def source(path: Path) -> ast.Module:
    """The code of a module or package."""
    file = path / "__init__.py" if path.is_dir() else path
    return ast.parse(file.read_text(encoding="utf-8"))


def public(path: Path) -> list[str]:
    """Names that a module exports or defines, without those that begin with an underscore."""
    exported: list[str] = []
    defined = []
    for node in source(path).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if names == ["__all__"]:
            exported = list(ast.literal_eval(node.value))
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names = [node.name]
        defined += [name for name in names if not name.startswith("_")]
    return list(dict.fromkeys([*exported, *defined]))


def modules(path: Path, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, list[str]]]:
    """Dotted names of a module or package and of all below it, with the names to show there.

    What a package exports is shown under the path that users import it by, and not again where it is defined.
    """
    own = public(path)
    if shown := [name for name in own if name not in above]:
        yield ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts), shown
    for below in filter(is_code, sorted(path.iterdir()) if path.is_dir() else []):
        yield from modules(below, above | set(own))


def api_page(path: Path) -> str:
    """Everything public of one part of gnnseg."""
    entries = [
        f"::: {name}\n    options:\n      heading_level: 2\n      members: {json.dumps(shown)}\n"
        for name, shown in modules(path)
    ]
    return "\n".join([f"# gnnseg.{path.stem}\n", *entries])


def api_index() -> str:
    """The first page of the Python interface: what ``import gnnseg`` gives, and the parts."""
    names = ("pipeline.fit", "pipeline.Run", "recommend.Recommender", "benchmark.benchmark")
    links = "\n".join(f"* [`gnnseg.{name.partition('.')[2]}`][gnnseg.{name}]" for name in names)
    rows = "\n".join(f"* [gnnseg.{path.stem}]({path.stem}.md): {_summary(path)}" for path in parts())
    return f"# gnnseg\n\nWhat `import gnnseg` gives:\n\n{links}\n\nThe parts:\n\n{rows}\n"


def _summary(path: Path) -> str:
    """First line of a part's docstring."""
    return (ast.get_docstring(source(path)) or "").partition("\n")[0].replace("``", "`")


def notebook_page(path: Path) -> str:
    """A notebook as Markdown, with the results that it holds."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _cell(cell)) + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    text = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield text
        return
    yield f"```python\n{text}\n```"
    for printed, outputs in itertools.groupby(
        cell["outputs"], lambda output: output["output_type"] == "stream"
    ):
        if printed:  # lines that were sent one by one are one block
            yield _text("".join("".join(output["text"]) for output in outputs))
        else:
            yield from map(_result, outputs)


def _result(output: dict[str, Any]) -> str:
    """A picture, Markdown or text."""
    data = {kind: "".join(value) for kind, value in output.get("data", {}).items() if kind in SHOWN}
    if "image/png" in data:
        return f"![Figure made by the code above](data:image/png;base64,{data['image/png'].strip()})"
    return data.get("text/markdown") or _text(data.get("text/plain", ""))


def _text(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"
