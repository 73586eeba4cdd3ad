from __future__ import annotations

from pathlib import Path

import pytest

from gnnseg.config import shipped_datasets
from tests.cli.invoking import failure, invoke, misuse, output, printed
from tests.runs import EACH, USERS, dataset, trained, write_data


def test_list() -> None:
    found = printed("data", "list")
    assert [entry["name"] for entry in found] == shipped_datasets()
    assert all({"source", "filters", "split"} <= entry.keys() for entry in found)
    text = output("data", "list")
    assert all(name in text for name in shipped_datasets())


@pytest.mark.parametrize("command", ["info", "check"])
def test_what_is_in_a_dataset(command: str) -> None:
    found = printed("data", command, dataset())
    data = trained().data
    assert found["name"] == "small"
    assert found["digest"] == data.dataset.digest
    assert found["read"]["interactions"] == found["kept"]["interactions"] == USERS * EACH
    assert found["interactions_per_user"] == {"min": EACH, "median": EACH, "max": EACH}
    assert found["items_without_text"] == 0
    assert (found["train"], found["valid"], found["test"]) == tuple(
        len(part) for part in (data.parts.train, data.parts.valid, data.parts.test)
    )
    text = output("data", command, dataset())
    assert data.dataset.digest[:20] in text


def test_info_says_where_files_are_looked_for() -> None:
    result = invoke("data", "info", dataset(), "--json")
    assert str(Path(dataset()).parent) in result.stderr


def test_bundled() -> None:
    found = printed("data", "info", "movielens")
    assert found["kept"]["users"] > 500
    assert found["kept"]["interactions"] < found["read"]["interactions"]


def test_fetch_of_what_is_bundled() -> None:
    assert Path(output("data", "fetch", "movielens", "--quiet").strip()).exists()


def test_fetch_of_what_is_not_downloaded() -> None:
    assert "there is nothing to download" in misuse("data", "fetch", "gowalla")
    assert "there is nothing to download" in misuse("data", "fetch", dataset())


@pytest.mark.parametrize("command", ["info", "fetch", "check"])
def test_unknown(command: str) -> None:
    assert "unknown dataset 'movielenz'; did you mean 'movielens'?" in failure("data", command, "movielenz")


def test_files_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNNSEG_HOME", str(tmp_path / "home"))
    result = invoke("data", "info", "gowalla")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "train.txt.gz" in result.stderr.splitlines()[-1]
    assert str(tmp_path / "home") in result.stderr


@pytest.mark.parametrize(
    ("ratings", "problem"),
    [
        ("who,what\n1,2\n", "unknown column 'stars'"),
        ("", "is empty"),
        ("who,what,stars\n1,2,x\n", "row 1: 'stars' must be a finite number"),
    ],
)
def test_check(tmp_path: Path, ratings: str, problem: str) -> None:
    path = write_data(tmp_path)
    (tmp_path / "ratings.csv").write_text(ratings)
    assert problem in failure("data", "check", path)


def test_check_names_the_nearest_key(tmp_path: Path) -> None:
    path = write_data(tmp_path, metrcs=["ndcg@10"])
    assert "unknown key 'metrcs'; did you mean 'metrics'?" in failure("data", "check", path)
