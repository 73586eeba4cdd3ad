from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs import FULL, PLAIN, write_data, write_yaml


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with ``small.yaml``, and a config beside it for each model."""
    write_data(tmp_path)
    for name, content in (("full", FULL), ("plain", PLAIN), ("popular", {"baseline": "Popularity"})):
        write_yaml(tmp_path / f"{name}.yaml", {"dataset": "small.yaml", **content})
    monkeypatch.chdir(tmp_path)
    return tmp_path
