from __future__ import annotations

import json
from pathlib import Path

from tests.cli.invoking import failure, invoke, output, printed
from tests.runs import USERS, saved_baseline, saved_run


def test_json() -> None:
    found = printed("segments", saved_run())
    assert found == json.loads((saved_run() / "segments.json").read_text())
    assert found.keys() == {"num_segments", "outside", "quality", "segments"}
    assert {"modularity", "silhouette", "stability"} <= found["quality"].keys()
    assert [s["segment"] for s in found["segments"]] == [0, 1, 2]
    assert sum(s["users"] for s in found["segments"]) == USERS
    assert all("profile" in s for s in found["segments"])


def test_table() -> None:
    text = output("segments", saved_run())
    found = json.loads((saved_run() / "segments.json").read_text())
    assert "3 segments" in text
    assert all(str(s["users"]) in text for s in found["segments"])
    assert f"modularity {found['quality']['modularity']:.3f}" in text.replace("\n", " ")


def test_quiet() -> None:
    result = invoke("segments", saved_run(), "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_a_run_without_segments() -> None:
    assert failure("segments", saved_baseline()).endswith(
        "has no segments; train a config with a segmenter and a head"
    )


def test_no_run(tmp_path: Path) -> None:
    assert failure("segments", tmp_path / "absent").startswith("there is no run '")
