from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from gnnseg.errors import ConfigError
from gnnseg.fairness import fairness
from tests.runs import GROUPS, ITEMS, USERS, saved_baseline, saved_run, trained


def test_a_run_has_it() -> None:
    result = trained()
    found = json.loads((saved_run() / "fairness.json").read_text())
    assert found == json.loads(json.dumps(result.fairness))
    assert found["users"] == len(result.test.users)
    assert found["exposure"]["gini"] == pytest.approx(result.test.means["gini"])
    assert found["exposure"]["coverage"] == pytest.approx(result.test.means["coverage"])
    assert found["calibration"] is None  # the small world has no tags
    baseline = json.loads((saved_baseline() / "fairness.json").read_text())
    assert "segment" not in {g["by"] for g in baseline["groups"]}


def test_groups_and_tags() -> None:
    result = trained()
    gender = np.where(np.arange(USERS) % 2, "f", "m")
    dataset = replace(
        result.data.dataset,
        user_table=pl.DataFrame({"gender": gender}),
        tags=tuple((f"tag {item % GROUPS}",) for item in range(ITEMS)),
    )
    labels = np.arange(USERS) % 3
    data = replace(result.data, dataset=dataset)
    found = fairness(result.test, data, "ndcg@10", labels, ["one", "two", "three"])
    groups = {g["by"]: g for g in found["groups"]}
    assert [row["name"] for row in groups["gender"]["groups"]] == ["f", "m"]
    users, values = result.test.users, result.test.per_user["ndcg@10"]
    for row in groups["gender"]["groups"]:
        inside = gender[users] == row["name"]
        assert row["users"] == inside.sum()
        assert row["metric"]["mean"] == pytest.approx(values[inside].mean())
        assert row["metric"]["low"] <= row["metric"]["mean"] <= row["metric"]["high"]
        items = result.test.items
        assert items is not None
        assert row["coverage"] == len(set(items[inside].ravel()) - {-1}) / ITEMS
    means = [row["metric"]["mean"] for row in groups["gender"]["groups"]]
    assert groups["gender"]["gap"]["difference"] == pytest.approx(max(means) - min(means))
    assert [row["name"] for row in groups["segment"]["groups"]] == ["0 one", "1 two", "2 three"]
    assert found["calibration"]["users"] == len(users)
    # users of the planted world like one tag, and lists of other users have another
    assert found["calibration"]["mean"] < found["calibration"]["shuffled"]


def test_no_group_below_the_limit() -> None:
    result = trained()
    labels = np.where(np.arange(USERS) < 4, 0, 1)
    found = fairness(result.test, result.data, "ndcg@10", labels, ["few", "many"])
    assert all(row["users"] >= 10 for g in found["groups"] for row in g["groups"])
    assert "segment" not in {g["by"] for g in found["groups"]}  # it would follow from the total


def test_a_metric_that_was_not_measured() -> None:
    with pytest.raises(ConfigError, match="'metric' must be one that was measured"):
        fairness(trained().test, trained().data, "ndcg@7")
