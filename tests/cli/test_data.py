from __future__ import annotations

import json
from pathlib import Path

import pytest

from gnnseg.config import dataset_notes, shipped_datasets
from tests.cli.invoking import failure, invoke, misuse, output, printed
from tests.runs import DATA, EACH, USERS, dataset, trained, write_data


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


class TestCheck:
    """Everything that is wrong with tables, and how it ends."""

    ROWS = (
        *[(f"u{n % 6}", f"i{n % 9:02}", n % 5 + 1) for n in range(54)],
        ("", "i00", 3),
        ("u0", "i01", "bad"),
    )

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = write_data(tmp_path, self.ROWS, filters={"min_rating": 2})
        with (tmp_path / "ratings.csv").open("a") as file:
            file.write("u0,i02,3,4\n" + ",i03,1\n" * 25)
        return path

    def test_report(self, path: Path) -> None:
        found = printed("data", "check", path, "--on-bad-rows", "skip")
        assert found["read"]["interactions"] == 54
        assert found["repeated_pairs"] == 54 - 18
        assert found["dropped_by_filter"]["min_rating"] == sum(row[2] == 1 for row in self.ROWS)
        assert found["users_by_interactions"] == {"1": 0, "2": 0, "3-4": 0, "5-8": 0, "9-16": 6}
        (unmatched,) = found["unmatched_ids"]
        assert (unmatched["ids"], unmatched["examples"][0]) == (71, "i09")
        kinds = {kind["rule"]: kind for kind in found["bad_rows"]["kinds"]}
        assert found["bad_rows"]["total"] == 28
        assert {rule: kind["total"] for rule, kind in kinds.items()} == {
            "must have at most the header's 3 fields": 1,
            "'who' must hold an id": 26,
            "'stars' must be a finite number": 1,
        }
        assert [row["row"] for row in kinds["'who' must hold an id"]["first"]] == [55, *range(58, 77)]
        assert kinds["'stars' must be a finite number"]["first"][0]["got"] == "bad"
        assert kinds["must have at most the header's 3 fields"]["first"][0]["row"] == 57
        text = output("data", "check", path, "--on-bad-rows", "skip")
        assert "26 bad row(s): 'who' must hold an id" in text
        assert "i09" in text

    @pytest.mark.parametrize("options", [(), ("--on-bad-rows", "error")])
    def test_bad_rows_make_it_fail_after_the_report(self, path: Path, options: tuple[str, ...]) -> None:
        result = invoke("data", "check", path, "--json", *options)
        assert result.exit_code == 1
        assert json.loads(result.stdout)["bad_rows"]["total"] == 28
        assert "line 58: must have at most the header's 3 fields; 27 more bad row(s)" in result.stderr

    def test_the_file_may_allow_them(self, tmp_path: Path) -> None:
        source = {**DATA["source"], "on_bad_rows": "skip"}
        path = write_data(tmp_path, self.ROWS, source=source)
        assert printed("data", "check", path)["bad_rows"]["total"] == 2
        assert invoke("data", "check", path, "--on-bad-rows", "error").exit_code == 1


def test_info_tells_terms_and_where_to_get_it(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gowalla"):
        folder.mkdir(exist_ok=True)
        result = invoke("data", "info", "gowalla", "--data-dir", tmp_path)
        assert result.exit_code == 1
        assert "No terms are stated" in result.stderr
        assert f"'{folder / 'train.txt.gz'}'" in result.stderr.splitlines()[-1]
    assert str(tmp_path) not in invoke("data", "info", "gowalla").stderr


@pytest.mark.parametrize("name", shipped_datasets())
def test_every_dataset_tells_its_terms(name: str) -> None:
    assert "terms" in dataset_notes(name).lower() or "CC BY" in dataset_notes(name)


@pytest.mark.parametrize("command", ["train", "ablate", "benchmark"])
def test_data_dir_of_commands(command: str, tmp_path: Path) -> None:
    given = ("--dataset", "gowalla") if command == "benchmark" else ("gowalla/popularity",)
    result = invoke(command, *given, "--data-dir", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    if command != "ablate":  # which refuses a config without segments before it looks for data
        assert str(tmp_path / "train.txt.gz") in result.stderr


def test_prepare(tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = printed("data", "prepare", dataset(), "--out", out)
    assert found == {
        "name": "small",
        "folder": str(out),
        "users": USERS,
        "items": trained().data.dataset.num_items,
        "interactions": USERS * EACH,
    }
    assert printed("data", "info", out / "dataset.yaml")["digest"] == trained().data.dataset.digest
    assert output("data", "prepare", dataset(), "--out", out, "--quiet") == ""
    result = invoke("data", "prepare", dataset(), "--out", out)
    assert f"Next: gnnseg train -s dataset={out}/dataset.yaml" in result.stderr
    (out / "items.npy").unlink()
    assert "cannot read" in failure("data", "prepare", dataset(), "--out", out, "--quiet")
    assert "exists already" in failure("data", "prepare", dataset(), "--out", Path(dataset()).parent, "-q")
