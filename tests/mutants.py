"""What mutation testing left alive, against what is known to be harmless: ``python -m tests.mutants``.

To be run after ``mutmut run``. A mutant is known by its function and its changed lines, not by its number, so
that the list outlives changes elsewhere; ``survivors.json`` gives a reason for each.
"""

from __future__ import annotations

import ast
import difflib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

KNOWN = Path(__file__).with_name("survivors.json")
LEAST = 0.9
"""Share of each module's mutants that the tests must kill."""


def changed(functions: dict[str, list[str]], name: str) -> str:
    """The lines of a mutant that are not those of its original, as ``old -> new``."""
    original = functions[name.rpartition("__mutmut_")[0] + "__mutmut_orig"]
    lines = [line for line in difflib.ndiff(original, functions[name]) if line[0] in "-+"]
    old, new = ("".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return f"{old} -> {new}"


def of_file(meta: Path) -> Iterator[tuple[str, bool]]:
    """Each mutant of one file that was tried, and whether it is dead."""
    codes = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    tree = ast.parse(meta.with_suffix("").read_text(encoding="utf-8"))
    functions = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            signature, *body = ast.unparse(node).replace(f"def {node.name}(", "def (").splitlines()
            functions[node.name] = [signature, *body]
    for key, code in codes.items():
        if code is not None:
            module, _, name = key.rpartition(".")
            function = name.rpartition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
            yield f"{module}.{function}: {changed(functions, name)}", code not in (0, 33)


def main(root: Path = Path("mutants")) -> int:
    """Print a table of modules and every survivor that is not known; 1 if there is one, or too many live."""
    known = {mutant for group in json.loads(KNOWN.read_text(encoding="utf-8")) for mutant in group["mutants"]}
    total: Counter[str] = Counter()
    dead: Counter[str] = Counter()
    unknown = []
    for meta in sorted(root.rglob("*.meta")):
        for mutant, died in of_file(meta):
            path = meta.relative_to(root).with_suffix("").as_posix()
            total[path] += 1
            dead[path] += died
            if not died and mutant not in known:
                unknown.append(mutant)
    for path, count in total.items():
        sys.stdout.write(f"{path:40} {dead[path]:5} of {count:5} killed  {dead[path] / count:6.1%}\n")
    sys.stdout.writelines(f"alive: {mutant}\n" for mutant in unknown)
    few = [path for path, count in total.items() if dead[path] < LEAST * count]
    return int(bool(unknown or few or not total))


if __name__ == "__main__":
    sys.exit(main())
