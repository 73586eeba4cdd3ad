from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.readers import READERS, safely, seeds


@pytest.mark.parametrize("name", READERS)
def test_seeds(name: str, tmp_path: Path) -> None:
    """What the fuzzer begins with: some contents are accepted, most are not, none raises another error."""
    accepted = []
    for number, content in enumerate(seeds(name)):
        folder = tmp_path / str(number)
        folder.mkdir()
        accepted.append(safely(READERS[name], folder, content))
    assert len(accepted) >= 3
    assert any(accepted)


def test_another_error_is_found(tmp_path: Path) -> None:
    def read(folder: Path, content: bytes) -> None:
        raise KeyError(content)

    with pytest.raises(KeyError):
        safely(READERS["config"]._replace(read=read), tmp_path, b"")
