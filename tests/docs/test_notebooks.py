"""Notebooks are kept without results, and run from top to bottom."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import DOCS

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="docs are not beside the tests")

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
PICTURES = {"first-look": 1, "own-encoder": 1}
RUN = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
nbformat.write(notebook, sys.argv[2])
"""


def cells(path: Path, kind: str) -> list[dict[str, Any]]:
    return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == kind]


def test_these_are_there() -> None:
    assert {path.stem for path in NOTEBOOKS} == set(PICTURES)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_generated_is_kept(path: Path) -> None:
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    """In a kernel of its own; the result goes to ``GNNSEG_NOTEBOOKS`` for the site, where that is set."""
    for name in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed; it comes with gnnseg[docs]")
    kept = Path(os.environ.get("GNNSEG_NOTEBOOKS") or tmp_path / "executed").resolve()
    kept.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", RUN, str(path), str(kept / path.name)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = [output for cell in cells(kept / path.name, "code") for output in cell["outputs"]]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == PICTURES[path.stem]
    assert not any(output["output_type"] == "error" for output in outputs)
