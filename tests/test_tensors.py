from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from gnnseg import tensors
from gnnseg.errors import CheckpointError
from gnnseg.tensors import check_histories, packed, shapes


def written(folder: Path, header: Any, data: bytes = b"", length: int | None = None) -> Path:
    """A file with a header as it is given, whatever it claims."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "t.safetensors"
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(shape: list[Any], start: Any, end: Any, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_every_type_and_shape(tmp_path: Path) -> None:
    """Against the library's own file of the same tensors."""
    types = [
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.uint8,
    ]
    given = {str(n): torch.ones(n, 3, dtype=dtype) for n, dtype in enumerate([*types, torch.bool])}
    given |= {"scalar": torch.tensor(1.0), "empty": torch.zeros(0, 5)}
    save_file(given, tmp_path / "t.safetensors")
    found = shapes(tmp_path / "t.safetensors")
    assert {name: shape.sizes for name, shape in found.items()} == {
        n: tuple(t.shape) for n, t in given.items()
    }
    assert {n: s.num_bytes for n, s in found.items()} == {
        n: t.numel() * t.element_size() for n, t in given.items()
    }


@pytest.mark.parametrize(
    ("header", "data", "says"),
    [
        ({"a": entry([1 << 40], 0, 1 << 42)}, b"", "its tensors are larger or smaller than the file"),
        ({"a": entry([2], 0, 8)}, bytes(7), "larger or smaller"),
        ({"a": entry([2], 0, 8)}, bytes(9), "larger or smaller"),
        ({"a": entry([2], 0, 4)}, bytes(4), "describes no tensor 'a'"),
        ({"a": entry([2], 8, 0)}, bytes(8), "describes no tensor 'a'"),
        ({"a": entry([-2, -1], 0, 8)}, bytes(8), "describes no tensor 'a'"),
        ({"a": entry([2.0], 0, 8)}, bytes(8), "describes no tensor 'a'"),
        ({"a": entry([True], 0, 4)}, bytes(4), "describes no tensor 'a'"),
        ({"a": entry([1] * 9, 0, 4)}, bytes(4), "describes no tensor 'a'"),
        ({"a": entry([1] * 100_000, 0, 4)}, bytes(4), "describes no tensor 'a'"),
        ({"a": entry([2], 0, 8, "PICKLE")}, bytes(8), "describes no tensor 'a'"),
        ({"a": entry([2], "0", 8)}, bytes(8), "describes no tensor 'a'"),
        ({"a" * 500: {}}, b"", f"describes no tensor '{'a' * 80}'"),
        ({"a": [1, 2]}, b"", "describes no tensor 'a'"),
        ([], b"", "must name at most"),
        (b"{", b"", "is no JSON"),
        (b"[" * 100_000, b"", "is no JSON"),
        (b"\xff\xff", b"", "is no JSON"),
    ],
)
def test_lies(header: Any, data: bytes, says: str, tmp_path: Path) -> None:
    path = written(tmp_path, header, data)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=says) as caught:
            shapes(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("length", [3, 1 << 40, (1 << 64) - 1])
def test_header_longer_than_the_file(length: int, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"its header says {length} bytes, the file has 10"):
        shapes(written(tmp_path, b"{}", length=length))


def test_long_header_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, b"{}" + b" " * 100)
    assert shapes(path) == {}
    monkeypatch.setattr(tensors, "LONGEST_HEADER", 101)
    with pytest.raises(CheckpointError, match="its header says 102 bytes"):
        shapes(path)


def test_number_of_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensors, "MOST_TENSORS", 2)
    (tmp_path / "a").write_bytes(packed({n: torch.ones(1) for n in "ab"}))
    assert len(shapes(tmp_path / "a")) == 2
    (tmp_path / "b").write_bytes(packed({n: torch.ones(1) for n in "abc"}))
    with pytest.raises(CheckpointError, match="must name at most 2 tensors"):
        shapes(tmp_path / "b")


@given(data=st.data())
def test_truncated_anywhere(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    whole = packed({"a": torch.arange(5.0), "b": torch.ones(2, 3)})
    path = tmp_path_factory.getbasetemp() / "cut.safetensors"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
        shapes(path)


@given(
    pointers=st.lists(st.integers(-1, 5), min_size=1, max_size=4),
    columns=st.lists(st.integers(-1, 4), max_size=4),
)
def test_histories_that_lead_out(pointers: list[int], columns: list[int]) -> None:
    """Against SciPy's own check of a matrix."""
    matrix = sp.csr_matrix((len(pointers) - 1, 3))
    matrix.data, matrix.indices, matrix.indptr = (
        np.ones(len(columns)),
        np.array(columns, int),
        np.array(pointers),
    )
    tables = {"x.indptr": torch.tensor(pointers), "x.indices": torch.tensor(columns, dtype=torch.int64)}
    # SciPy lets a matrix have more, and looks at nothing where it has no entries
    whole = pointers[-1] == len(columns) and sorted(pointers) == pointers
    try:
        matrix.check_format(full_check=True)
    except ValueError:
        whole = False
    if whole:
        check_histories(tables, (len(pointers) - 1, 3))
    else:
        with pytest.raises(ValueError, match="indptr'"):
            check_histories(tables, (len(pointers) - 1, 3))


@pytest.mark.parametrize(
    "tables",
    [
        {"indptr": torch.tensor([0, 1])},
        {"indptr": torch.tensor([0.0, 1.0]), "indices": torch.tensor([0])},
        {"indptr": torch.tensor([0, 1]), "indices": torch.tensor([math.nan])},
        {"indptr": torch.tensor([[0, 1]]), "indices": torch.tensor([0])},
        {"transposed_indptr": torch.tensor([0, 1]), "transposed_indices": torch.tensor([2])},
    ],
)
def test_histories_that_are_none(tables: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="indptr'"):
        check_histories(tables, (2, 9))
