from __future__ import annotations

from pathlib import Path

from tests.cli.invoking import failure, invoke, output, printed
from tests.runs import USERS, saved_baseline, saved_run


def test_json() -> None:
    found = printed("audit", saved_run())
    assert 0 < found["users"] <= USERS
    assert 0 <= found["auc"]["low"] <= found["auc"]["mean"] <= found["auc"]["high"] <= 1
    assert "higher score" in found["attacker"]


def test_popularity_tells_no_more_than_popularity() -> None:
    found = printed("audit", saved_baseline("Popularity"))
    assert found["auc"] == found["popularity_auc"]
    assert found["difference"]["mean"] == 0


def test_table() -> None:
    text = " ".join(output("audit", saved_run(), "--users", 20).split())
    assert "20 users" in text
    assert "The attacker knows the ids" in text
    assert "1 % false alarms" in text
    result = invoke("audit", saved_run(), "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_no_run(tmp_path: Path) -> None:
    assert "there is no run" in failure("audit", tmp_path / "absent")
