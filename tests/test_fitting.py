"""Segmenters that need more than graph and vectors, and users outside, through a whole run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gnnseg import Recommender
from gnnseg.checkpoint import load_run
from gnnseg.errors import ConfigError, DataError
from gnnseg.pipeline import Run, evaluate_run, fit
from tests.runs import DATA, GROUPS, PLAIN, SCHEDULE, USERS, pairs, write_data

TABLES = {
    **DATA["source"],
    "time": "when",
    "users": "people.csv",
    "user_key": "who",
    "user_columns": ["gender", "age"],
}


def world(folder: Path, source: dict[str, Any] = TABLES) -> str:
    """Users of a group are of one gender and active in one month; every fifth keeps its gender to itself."""
    rows = [(1000 + user, f"i{item:02}", 4, 2_600_000 * (user % GROUPS) + item) for user, item in pairs()]
    people = [
        f"{1000 + user},{'' if user % 5 == 4 else 'FM'[user % 2]},{20 + user % GROUPS}"
        for user in range(USERS)
    ]
    (folder / "people.csv").write_text("\n".join(["who,gender,age", *people]) + "\n", encoding="utf-8")
    return str(write_data(folder, rows, header="who,what,stars,when", source=source))


def segmented(dataset: str, segmenter: dict[str, Any], out: Path | None = None, **changes: Any) -> Run:
    content = {
        **PLAIN,
        "dataset": dataset,
        "device": "cpu",
        "segmenter": segmenter,
        "head": "FiLM",
        "fine_tune": {"epochs": 2, **SCHEDULE},
        **changes,
    }
    return fit(content, out=out)


def test_segments_by_column(tmp_path: Path) -> None:
    result = segmented(world(tmp_path), {"name": "ByColumn", "columns": ["gender"]}, out=tmp_path / "run")
    assert [segment["group"] for segment in result.segments["segments"]] == ["gender F", "gender M"]
    assert result.segments["outside"] == 0
    saved = load_run(tmp_path / "run").model().segmenter
    assert saved.names == ("gender F", "gender M")
    labels = saved.labels.numpy()
    known = np.arange(USERS) % 5 != 4  # ids in the order of rows
    assert (labels[known] == np.arange(USERS)[known] % 2).all()
    assert result.segments["quality"]["stability"] == 1


def test_segments_by_time(tmp_path: Path) -> None:
    result = segmented(world(tmp_path), {"name": "ByTime", "num_segments": GROUPS})
    memberships = result.model.segmenter.memberships.numpy()
    share = [memberships[np.arange(USERS) % GROUPS == group].mean(0) for group in range(GROUPS)]
    assert np.argmax(share, axis=1).tolist() == list(range(GROUPS))
    assert np.max(share, axis=1).min() > 0.9


def test_what_the_data_do_not_hold(tmp_path: Path) -> None:
    plain = str(write_data(tmp_path))
    with pytest.raises(ConfigError, match=r"no column 'gender' in the users' table \(it has none; give"):
        segmented(plain, {"name": "ByColumn", "columns": ["gender"]})
    with pytest.raises(DataError, match="ByTime needs the times of interactions"):
        segmented(plain, {"name": "ByTime"})


def test_nobody_in_a_segment_is_the_global_model(tmp_path: Path) -> None:
    dataset = str(write_data(tmp_path))
    lonely = {"name": "DBSCAN", "eps": 1.0e-4, "min_users": 30}
    run = segmented(dataset, lonely, out=tmp_path / "run", fine_tune={"epochs": 2, **SCHEDULE})
    alone = fit({**PLAIN, "dataset": dataset, "device": "cpu"})
    assert run.segments["outside"] == USERS
    assert run.metrics["test"]["ndcg@10"] == alone.metrics["test"]["ndcg@10"]
    assert [segment["users"] for segment in run.metrics["segments"]] == [0]
    again = evaluate_run(load_run(tmp_path / "run"), "test", "cpu")
    assert [segment["users"] for segment in again["segments"]] == [0]
    recommender = Recommender.load(tmp_path / "run")
    assert recommender.segments_of("1000") == {}
    assert recommender.segments_for(["i00", "i04"]) == {}
    assert len(recommender.recommend_for(["i00", "i04"], k=3)) == 3
