"""Every benchmark can be run: it imports what it names."""

import importlib
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benchmarks"
OPTIONAL = ("implicit", "lenskit", "sentence_transformers")


@pytest.mark.skipif(not FOLDER.is_dir(), reason="benchmarks are not beside the tests")
@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.py")))
def test_it_imports(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    known = set(sys.modules)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed")
    finally:
        for own in {path.stem for path in FOLDER.glob("*.py")} - known:
            sys.modules.pop(own, None)
