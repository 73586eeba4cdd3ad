import gzip
from pathlib import Path

import pytest

from gnnseg.data.dataset import Dataset
from gnnseg.data.sources import AdjacencyLists
from gnnseg.errors import DataError


def load(folder: Path, train: bytes, test: bytes = b"0 2\n") -> Dataset:
    (folder / "train.txt").write_bytes(train)
    (folder / "test.txt.gz").write_bytes(gzip.compress(test, mtime=0))
    return AdjacencyLists(folder, train="train.txt", test="test.txt.gz").load("name")


def test_pairs_ids_and_given_test(tmp_path: Path) -> None:
    dataset = load(tmp_path, b"10 3 20\n2 3\n\n5\n", b"2 1\n7 20\n2\n")
    assert dataset.users.ids == ("2", "7", "10")
    assert dataset.items.ids == ("1", "3", "20")
    assert dataset.interactions.users.tolist() == [2, 2, 0, 0, 1]
    assert dataset.interactions.items.tolist() == [1, 2, 1, 0, 2]
    assert dataset.given_test.tolist() == [False] * 3 + [True] * 2
    assert dataset.interactions.weights is None
    assert dataset.interactions.times is None


@pytest.mark.parametrize("line", ["1 x", "1 2.5", "1 99999999999999999999", "nan 1"])
def test_line_that_is_not_integers(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"train\.txt' line 2: expected integers .* \(got '" + line):
        load(tmp_path, f"0 1\n{line}\n".encode())


@pytest.mark.parametrize("train", [b"", b"\n\n", b"1\n2\n"])
def test_file_without_interactions(tmp_path: Path, train: bytes) -> None:
    with pytest.raises(DataError, match=r"train\.txt' holds no interactions"):
        load(tmp_path, train)
    with pytest.raises(DataError, match=r"test\.txt\.gz' holds no interactions"):
        load(tmp_path, b"0 1\n", train)


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"0 1\n" * 99, mtime=0)[:20], gzip.compress(b"\xff 1\n", mtime=0)]
)
def test_unreadable_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "train.txt.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot read '.*train\.txt\.gz'"):
        AdjacencyLists(tmp_path, train="train.txt.gz", test="train.txt.gz").load("name")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read '.*none\.txt': No such file"):
        AdjacencyLists(tmp_path, train="none.txt", test="none.txt").load("name")
