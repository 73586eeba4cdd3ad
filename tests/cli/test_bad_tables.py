"""``gnnseg train`` on tables that hold what they must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnnseg.checkpoint import load_run
from tests.cli.invoking import failure, output, printed
from tests.runs import (
    ITEMS,
    contents,
    pairs,
    write_data,
)

ROWS = [(1000 + user, f"i{item:02}", 4) for user, item in pairs()]


class TestRatings:
    """Bad interactions: one line, nothing written; odd ones that can be used are."""

    def train(self, folder: Path, content: str, *arguments: str) -> str:
        (folder / "ratings.csv").write_text(content, encoding="utf-8")
        before = contents(folder)
        message = failure("train", "plain.yaml", "--out", "out", *arguments)
        assert contents(folder) == before
        return message

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("user,what,stars\n1,2,3\n", "unknown column 'who'"),
            ("who,what,star\n1,2,3\n", "unknown column 'stars'; did you mean 'star'?"),
            ("who,what,stars\n1,2,3\n1,3,good\n", "row 2: 'stars' must be a finite number (got 'good')"),
            ("who,what,stars\n1,2,nan\n", "row 1: 'stars' must be a finite number (got 'nan')"),
            ("who,what,stars\n1,2,3\n1,3,-inf\n", "row 2: 'stars' must be a finite number (got '-inf')"),
            ("", "is empty"),
            ("who,what,stars\n", "has no rows"),
            ("who,what,stars\n1,i00,3\n", "at least two"),
            ("who,what,stars\n" + "".join(f"1,i{n:02},3\n" for n in range(9)), "at least two"),
            ("who,what,stars\n" + "".join(f"{n},i01,3\n" for n in range(9)), "at least two"),
            ("who,what,stars\n" + "".join(f"{n},i{n:02},3\n" for n in range(9)), "0 to test on"),
        ],
        ids=[
            "column",
            "nearest",
            "type",
            "nan",
            "inf",
            "empty",
            "no rows",
            "one pair",
            "one user",
            "one item",
            "one each",
        ],
    )
    def test_bad(self, here: Path, content: str, problem: str) -> None:
        assert problem in self.train(here, content)

    def test_duplicate_pairs(self, here: Path) -> None:
        rows = [*ROWS, *ROWS[:7]]
        write_data(here, rows)
        assert printed("train", "popular.yaml", "--out", "once")["test"]
        assert load_run("once").seen.nnz < len(ROWS)
        message = failure("train", "popular.yaml", "--out", "out", "-s", "dataset.filters.duplicates=error")
        assert message == "7 repeated user-item pairs; set filters.duplicates to last or first"
        assert not (here / "out").exists()

    def test_odd_text(self, here: Path) -> None:
        titles = [f'i{n:02},"a\x1b[31m\x07 word {n % 4} \x00"' for n in range(ITEMS - 1)]
        long = f"i{ITEMS - 1},{'word ' * 2000}"
        (here / "items.csv").write_text("\n".join(["id,title", *titles, long]) + "\n")
        output("train", "full.yaml", "--out", "out")
        texts = load_run("out").texts
        assert texts is not None
        assert max(map(len, texts)) == 2000
        assert not any(ord(c) < 32 for text in texts for c in text)
        shown = output("recommend", "out", "--user", "1000")
        assert "\x1b[31m" not in shown
        assert "\x07" not in shown
