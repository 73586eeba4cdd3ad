from __future__ import annotations

import errno
import os
import shlex
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from gnnseg.lists import write_lists
from gnnseg.recommend import Recommender
from tests.cli.invoking import failure, invoke, misuse, output, printed
from tests.runs import ITEMS, USERS, contents, older_factors, saved_baseline, saved_run


def test_json() -> None:
    found = printed("recommend", saved_run(), "--user", "1042", "--user", "1007", "-k", "3")
    assert [entry["user"] for entry in found] == ["1042", "1007"]
    expected = Recommender.load(saved_run()).recommend(["1042", "1007"], k=3)
    for entry in found:
        assert entry.keys() == {"user", "segment", "items"}
        best = expected[entry["user"]]
        assert entry["items"] == [{"item": r.item, "score": r.score, "text": r.text} for r in best]
        assert 0.9 < sum(entry["segment"].values()) < 1.1


def test_ten_by_default() -> None:
    assert len(printed("recommend", saved_run(), "--user", "1000")[0]["items"]) == 10


def test_somebody_new() -> None:
    [entry] = printed("recommend", saved_run(), "--items", "i00, i04", "--items", "i08", "-k", "5")
    expected = Recommender.load(saved_run()).recommend_for(["i00", "i04", "i08"], k=5)
    assert entry["user"] == ""
    assert entry["segment"]
    assert [item["item"] for item in entry["items"]] == [r.item for r in expected]


def test_table() -> None:
    text = output("recommend", saved_run(), "--user", "1042")
    assert "user 1042, segment" in text
    for best in Recommender.load(saved_run()).recommend(["1042"])["1042"]:
        assert best.item in text
        assert best.text in text
    assert "somebody new" in output("recommend", saved_run(), "--items", "i00")
    assert "segment" not in output("recommend", saved_baseline(), "--user", "1042")


def test_quiet() -> None:
    result = invoke("recommend", saved_run(), "--user", "1042", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


READERS = {
    "csv": lambda p: pl.read_csv(p, schema_overrides={"user": pl.String}),
    "parquet": pl.read_parquet,
    "jsonl": pl.read_ndjson,
}


@pytest.mark.parametrize("kind", sorted(READERS))
def test_everybody(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "lists" / f"all.{kind}"
    result = invoke("recommend", saved_run(), "--all", "--out", path, "-k", "4")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == f"{USERS * 4} rows written to {path}\n"
    frame = READERS[kind](path)
    assert frame.columns == ["user", "rank", "item", "score"]
    assert frame.shape == (USERS * 4, 4)
    mine = frame.filter(pl.col("user") == "1042").sort("rank")
    expected = Recommender.load(saved_run()).recommend(["1042"], k=4)["1042"]
    assert mine["rank"].to_list() == [1, 2, 3, 4]
    assert mine["item"].to_list() == [r.item for r in expected]
    assert mine["score"].to_list() == pytest.approx([r.score for r in expected], rel=1e-5)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--user", "10422"], "unknown user '10422'; did you mean '1042'?"),
        (["--items", "i00,i9x"], "unknown item 'i9x'"),
        (["--items", ","], "'items' must name at least one item"),
        (["--user", "1042", "-k", "500"], "'k' must be between 1 and the number of items"),
        (["--all", "--out", "all.xlsx"], "--out must end in .parquet, .csv or .jsonl (got 'all.xlsx')"),
    ],
)
def test_bad(arguments: list[str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert problem in failure("recommend", saved_run(), *arguments)
    assert list(tmp_path.iterdir()) == []


def test_lines(tmp_path: Path) -> None:
    run = saved_run()
    text = output("recommend", run, "--user", "1042", "-k", 2)
    best = Recommender.load(run).recommend(["1042"], k=1)["1042"][0]
    assert text.splitlines()[-1] == f"Next: gnnseg explain {run} --user 1042 --item {best.item}"
    assert "score" in output(*shlex.split(text.splitlines()[-1].removeprefix("Next: gnnseg ")))
    text = output("recommend", run, "--segment", 1, "-k", 2)
    assert text.startswith("segment 1 as a whole")
    assert "somebody new" not in text
    assert output("recommend", run, "--items", "i00", "-k", 2).startswith("somebody new, segment ")


def test_factors_know_somebody_new(tmp_path: Path) -> None:
    (entry,) = printed("recommend", saved_baseline("ImplicitALS"), "--items", "i00,i04", "-k", 3)
    assert len(entry["items"]) == 3
    older = older_factors(tmp_path)
    assert "ImplicitALS has no vectors for new users" in failure("recommend", older, "--items", "i00")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--user", "1", "--items", "i00"],
        ["--user", "1", "--all", "--out", "all.csv"],
        ["--all"],
        ["--items", "i00", "--out", "all.csv"],
        ["--segment", "0", "--user", "1"],
        ["--user", "1", "--texts"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert misuse("recommend", saved_run(), *arguments)


def test_no_run(tmp_path: Path) -> None:
    assert failure("recommend", tmp_path / "absent", "--user", "1").startswith("there is no run '")


@pytest.mark.parametrize("kind", sorted(READERS))
def test_cannot_be_written(kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    message = failure(
        "recommend", saved_run(), "--all", "--out", tmp_path / "file" / f"all.{kind}", "--quiet"
    )
    assert message.startswith("cannot write '")
    assert contents(tmp_path) == {"file": b"mine"}


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_existing_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "all.csv"
    path.write_text("old")
    assert invoke("recommend", saved_run(), "--all", "--out", path, "--quiet").exit_code == 0
    assert path.read_text().startswith("user,rank,item,score\n")
    with monkeypatch.context() as patch:
        patch.setattr("polars.DataFrame.write_csv", full)
        message = failure("recommend", saved_run(), "--all", "--out", path, "--quiet", "-k", "1")
    assert message == f"cannot write '{path}': No space left on device"
    assert path.read_text().count("\n") == USERS * 10 + 1
    assert list(tmp_path.iterdir()) == [path]


def test_rules_from_options_and_files(tmp_path: Path) -> None:
    top = [i["item"] for i in printed("recommend", saved_run(), "--user", "1042", "-k", "6")[0]["items"]]
    (tmp_path / "ids.txt").write_text(f"{top[0]}\n\n {top[2]} \n")
    [entry] = printed(
        "recommend", saved_run(), "--user", "1042", "-k", "3", "--exclude", f"@{tmp_path / 'ids.txt'}"
    )
    assert [i["item"] for i in entry["items"]] == [top[1], top[3], top[4]]
    [entry] = printed("recommend", saved_run(), "--user", "1042", "--only", f"{top[5]},{top[3]}")
    assert [i["item"] for i in entry["items"]] == [top[3], top[5]]
    absent = failure("recommend", saved_run(), "--user", "1042", "--only", "@absent.txt")
    assert absent == "cannot read ids from 'absent.txt': No such file or directory"
    assert "unknown item 'i9x'" in failure("recommend", saved_run(), "--user", "1042", "--exclude", "i9x")


def test_segment() -> None:
    [entry] = printed("recommend", saved_run(), "--segment", "1", "-k", "4")
    expected = Recommender.load(saved_run()).recommend_segment(1, k=4)
    assert [i["item"] for i in entry["items"]] == [r.item for r in expected]
    assert "unknown segment '7'" in failure("recommend", saved_run(), "--segment", "7")
    assert "has no segments" in failure("recommend", saved_baseline(), "--segment", "0")


@pytest.mark.parametrize("kind", sorted(READERS))
def test_blocks_are_one_table(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parts = tmp_path / f"whole.{kind}", tmp_path / f"parts.{kind}"
    assert invoke("recommend", saved_run(), "--all", "--out", whole, "-q").exit_code == 0
    monkeypatch.setattr("gnnseg.lists.BLOCK_ROWS", 50)
    monkeypatch.setattr("gnnseg.ranking.BLOCK_SCORES", 7 * ITEMS)
    assert invoke("recommend", saved_run(), "--all", "--out", parts, "-q").exit_code == 0
    assert READERS[kind](parts).drop("score").equals(READERS[kind](whole).drop("score"))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([whole.name, parts.name])


def test_some_users_with_texts(tmp_path: Path) -> None:
    out = tmp_path / "some.csv"
    result = invoke("recommend", saved_run(), "--user", "1042", "--user", "1007", "--out", out, "--texts")
    assert result.exit_code == 0
    frame = READERS["csv"](out)
    assert frame["user"].unique(maintain_order=True).to_list() == ["1042", "1007"]
    first = Recommender.load(saved_run()).recommend(["1042"], k=1)["1042"][0]
    assert frame["text"][0] == first.text


def test_formulas_in_texts_are_defused_in_csv_alone(tmp_path: Path) -> None:
    recommender = Recommender.load(saved_run())
    evil = ["=cmd|' /C calc'!A0" if n % 2 else "-1+1" for n in range(len(recommender.run.items))]
    recommender = Recommender(replace(recommender.run, texts=evil))
    for kind, reader in READERS.items():
        write_lists(recommender, tmp_path / f"all.{kind}", texts=True)
        starts = {text[0] for text in reader(tmp_path / f"all.{kind}")["text"]}
        assert starts == ({"'"} if kind == "csv" else {"=", "-"})
