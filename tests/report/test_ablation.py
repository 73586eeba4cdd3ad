from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gnnseg.files import to_json
from gnnseg.report import save_results
from gnnseg.report.ablation import (
    ablation_rows,
    group_rows,
    local_verdict,
    segments_verdict,
    worst_segment,
)
from gnnseg.report.plots import differences
from tests.report.test_tables import results as benchmark_results

METRIC = "ndcg@10"
HELPS = {"difference": 0.02, "relative": 0.1, "low": 0.01, "high": 0.03, "p": 0.001, "p_adjusted": 0.004}
BARELY = {
    **HELPS,
    "difference": 0.002,
    "relative": 0.01,
    "low": -0.002,
    "high": 0.006,
    "p": 0.2,
    "p_adjusted": 0.4,
}
HARMS = {**HELPS, "difference": -0.02, "relative": -0.1, "low": -0.03, "high": -0.01}
NOTHING = {"difference": 0.0, "relative": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "p_adjusted": 1.0}
ROLES = {"global": "global", "random segments": "control", "ensemble": "control", "Leiden only": "part"}


def results(**against: dict[str, float]) -> dict[str, Any]:
    """An ablation by hand; the full system is as ``against`` says beside a row, or else helps."""
    made = benchmark_results()
    models = [
        {**made["models"][0], "name": name, "role": role, "about": f"about {name}"}
        for name, role in {**ROLES, "full": "full"}.items()
    ]
    compared = [
        {"model": "full", "baseline": name, "metric": metric, "users": 50}
        | against.get(name.split()[0].lower(), HELPS)
        for metric in ("recall@10", METRIC)
        for name in ROLES
    ]
    group = {"metric": METRIC, "users": 20, "global": 0.2, "full": 0.22, **HELPS}
    empty = {"metric": METRIC, "users": 0, "global": None, "full": None}
    return {
        **made,
        "command": "ablate",
        "models": models,
        "comparisons": compared,
        "segments": [{"segment": 0, **group}, {"segment": 1, **group, "full": 0.18, **HARMS}],
        "histories": [
            {"history": "none", "from": 0, "to": 0, **empty},
            {"history": "short", "from": 1, "to": 5, **group},
            {"history": "long", "from": 6, "to": None, **group},
        ],
    }


@pytest.mark.parametrize(
    ("against", "verdict"),
    [
        (
            {},
            "Segments help here: +10.00% (95 %: +5.00 to +15.00 %, p 0.004) against the global model, "
            "and above every control (random segments, ensemble).",
        ),
        (
            {"global": BARELY},
            "Segments do not help here: +1.00% (95 %: -1.00 to +3.00 %, p 0.4) against the global model.",
        ),
        (
            {"global": HARMS},
            "Segments do not help here: -10.00% (95 %: -15.00 to -5.00 %, p 0.004) against the global model.",
        ),
        (
            {"global": NOTHING},
            "Segments do not help here: +0.00% (95 %: +0.00 to +0.00 %, p 1) against the global model.",
        ),
        (
            {"ensemble": BARELY, "leiden": HARMS},
            "Segments cannot be told to help here: +10.00% (95 %: +5.00 to +15.00 %, p 0.004) against the "
            "global model, but not significantly above ensemble.",
        ),
        (
            {"ensemble": HARMS, "random": BARELY},
            "Segments cannot be told to help here: +10.00% (95 %: +5.00 to +15.00 %, p 0.004) against the "
            "global model, but not significantly above random segments, ensemble.",
        ),
    ],
    ids=["help", "too little", "harm", "nothing", "no more than a control", "no more than any control"],
)
def test_verdict(against: dict[str, Any], verdict: str) -> None:
    assert segments_verdict(results(**against), METRIC) == verdict


def test_parts_do_not_count_as_controls() -> None:
    assert segments_verdict(results(leiden=HARMS), METRIC) == segments_verdict(results(), METRIC)


def test_verdict_without_controls() -> None:
    found = results()
    found["models"] = [model for model in found["models"] if model["role"] != "control"]
    verdict = segments_verdict(found, METRIC)
    assert verdict.startswith("Segments are above the global model here: +10.00%")
    assert verdict.endswith("but no control was fitted.")


def test_rows() -> None:
    header, rows = ablation_rows(results(ensemble=NOTHING), METRIC)
    assert [row[:2] for row in rows] == [[*row] for row in {**ROLES, "full": "full"}.items()]
    assert all(len(row) == len(header) for row in rows)
    assert rows[0][3:6] == ["+10.00%", "+5.00 to +15.00", "0.004"]
    assert rows[2][3:6] == ["+0.00%", "+0.00 to +0.00", "1"]
    assert rows[-1][3:6] == ["", "", ""]


def test_groups() -> None:
    header, rows = group_rows(results())
    names = ["no items", "1 to 5 items", "6 and more items", "segment 0", "segment 1"]
    assert [row[0] for row in rows] == names
    assert all(len(row) == len(header) for row in rows)
    assert rows[0][1:] == ["0", "", "", "", "", ""]
    assert rows[4][1:] == ["20", "0.2000", "0.1800", "-10.00%", "-15.00 to -5.00", "0.001"]


def test_worst_segment() -> None:
    assert worst_segment(results()) == (
        "Least gain: segment 1, -10.00% (95 %: -15.00 to -5.00 %). "
        "Gap between the best and the worst segment: 0.0000 global, 0.0400 full."
    )


@pytest.mark.parametrize("share", [None, float("nan")])
def test_segments_without_a_share(share: float | None) -> None:
    """Where the global model finds nothing there is no relative gain."""
    found = results()
    found["segments"][1] |= {"global": 0.0, "relative": share}
    assert worst_segment(found).startswith("Least gain: segment 0, +10.00%")
    assert group_rows(found)[1][4][4:6] == ["", ""]
    for segment in found["segments"]:
        segment["users"] = 9  # too few to say anything
    assert worst_segment(found) == ""


def test_files(tmp_path: Path) -> None:
    save_results(results(), tmp_path)
    assert (tmp_path / "results.json").read_text().strip() == to_json(results()).strip()
    text = (tmp_path / "results.md").read_text()
    assert segments_verdict(results(), METRIC) in text
    assert "* **ensemble** (control): about ensemble" in text
    assert "| 6 and more items | 20 |" in text
    plots = {f"{name}.{kind}" for name in ("accuracy", "cost", "differences") for kind in ("png", "svg")}
    assert {path.name for path in tmp_path.iterdir()} == {
        "report.html",
        "results.json",
        "results.md",
        "results.csv",
        *plots,
    }


def test_differences() -> None:
    figure = differences(results(ensemble=HARMS), METRIC)
    [axes] = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == list(ROLES)[::-1]
    zero = axes.lines[0]
    assert list(zero.get_xdata()) == [0, 0]
    centres = [float(bar.lines[0].get_xdata()[0]) for bar in axes.containers]
    assert centres == [0.02, -0.02, 0.02, 0.02]
    ends = [bar.lines[2][0].get_segments()[0][:, 0].tolist() for bar in axes.containers]
    assert ends == [pytest.approx(e) for e in ([0.01, 0.03], [-0.03, -0.01], [0.01, 0.03], [0.01, 0.03])]
    looks = {(bar.lines[0].get_color(), bar.lines[0].get_marker()) for bar in axes.containers}
    assert len(looks) == len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 3
    assert [text.get_text() for text in figure.legends[0].texts] == ["part", "control", "global model"]


def test_differences_of_two_rows_and_odd_names() -> None:
    found = results()
    found["comparisons"] = [c for c in found["comparisons"] if c["baseline"] == "global"]
    found["dataset"]["name"] = "a_$x^"
    differences(found, METRIC).draw_without_rendering()


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        ("local", "A model for each segment helps: +3.00% (+1.00% to +5.00%) in validation ndcg@10; "),
        ("global", "Segments do not help here: +3.00% (+1.00% to +5.00%) in validation ndcg@10; served: the"),
    ],
)
def test_local_verdict(served: str, expected: str) -> None:
    told = {"metric": "ndcg@10", "served": served, "relative": 0.03, "low": 0.01, "high": 0.05}
    assert local_verdict(told).startswith(expected)


def test_a_local_model_whose_interval_holds_zero_is_not_said_to_help() -> None:
    told = {"metric": "ndcg@10", "served": "local", "relative": 0.03, "low": -0.01, "high": 0.07}
    assert local_verdict(told).startswith("A model for each segment is served, though its gain may be none: ")
