"""Write the tables of README.md and docs/ from the JSON in ``benchmarks/results``.

    python benchmarks/report.py          # write them
    python benchmarks/report.py --check  # exit 1 if a page does not hold what the JSON says

A table stands between ``<!-- results: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from result_tables import TABLES

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"(<!-- results: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Write or check every page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    stale = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        old = page.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda m: f"{m.group(1)}{TABLES[m.group('name')]()}\n{m.group(3)}", old)
        if new != old and options.check:
            stale.append(str(page.relative_to(ROOT)))
        elif new != old:
            page.write_text(new, encoding="utf-8")
    if stale:
        sys.exit(f"not what benchmarks/results says: {', '.join(stale)}; run python benchmarks/report.py")


if __name__ == "__main__":
    main()
