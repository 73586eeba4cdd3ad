from __future__ import annotations

import copy
import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from gnnseg.report import save_results
from gnnseg.report.tables import (
    best_baseline,
    compact_rows,
    comparison_rows,
    main_metrics,
    markdown,
    mean_seconds,
    model_rows,
    peak_memory,
    results_csv,
    results_markdown,
    verdict,
)


def results(**last: Any) -> dict[str, Any]:
    """Results of three models, by hand; ``last`` changes each comparison."""

    def model(name: str, mean: float, parameters: int) -> dict[str, Any]:
        seconds = {"text": 0.5, "encoder": 1.0, "segments": 0.0, "head": 0.0, "local": 0.0, "evaluate": 0.25}
        runs = [
            {
                "seed": seed,
                "metrics": {"recall@10": mean, "ndcg@10": mean / 2, "coverage": 0.5},
                "seconds": {**seconds, "fit": 1.0 + seed},
                "peak_memory_mb": 100.0 + seed,
            }
            for seed in (0, 1)
        ]
        metrics = {
            name: {"mean": m, "low": m - 0.01, "high": m + 0.02}
            for name, m in (("recall@10", mean), ("ndcg@10", mean / 2))
        }
        return {"name": name, "runs": runs, "metrics": metrics, "parameters": {"total": parameters}}

    def comparison(baseline: str, metric: str, difference: float) -> dict[str, Any]:
        return {
            "model": "full",
            "baseline": baseline,
            "metric": metric,
            "difference": difference,
            "relative": difference / 2,
            "low": difference - 0.01,
            "high": difference + 0.01,
            "p": 0.001,
            "p_adjusted": 0.002,
            "users": 1234,
            **last,
        }

    pairs = [("pop", 0.2), ("knn", 0.1)]
    return {
        "command": "benchmark",
        "dataset": {"name": "small", "users": 1234, "items": 80, "train": 56789},
        "protocol": {"metrics": ["recall@10", "ndcg@10"]},
        "models": [model("pop", 0.1, 0), model("knn", 0.2, 0), model("full", 0.3, 12345)],
        "comparisons": [comparison(n, m, d) for m in ("recall@10", "ndcg@10") for n, d in pairs],
    }


def test_figures_of_a_model() -> None:
    model = results()["models"][2]
    assert mean_seconds(model, "fit") == 1.5
    assert peak_memory(model) == 101.0


def test_main_metrics() -> None:
    assert main_metrics(results()) == ["recall@10", "ndcg@10"]
    assert main_metrics(results(), 1) == ["recall@10"]


def test_best_baseline() -> None:
    found = best_baseline(results(), "ndcg@10")
    assert found is not None
    assert found["name"] == "knn"
    assert best_baseline({**results(), "models": results()["models"][:1]}, "ndcg@10") is None


def test_model_rows() -> None:
    header, rows = model_rows(results())
    assert header == ["model", "recall@10", "ndcg@10", "fit s", "evaluate s", "peak MB", "parameters"]
    assert rows[2] == [
        "full",
        "0.3000 (0.2900-0.3200)",
        "0.1500 (0.1400-0.1700)",
        "1.5",
        "0.2",
        "101",
        "12,345",
    ]
    assert [row[0] for row in rows] == ["pop", "knn", "full"]


def test_published_figures_stand_beside_ours() -> None:
    found = results()
    published = {"source": "arXiv 2002.02126, table 3", "metrics": {"ndcg@10": 0.1554, "recall@20": 0.183}}
    found["models"][1]["config"] = {"reference": published}
    found["models"][2]["config"] = {"reference": None}
    header, rows = model_rows(found)
    assert header.index("published") == header.index("ndcg@10") + 1
    assert [row[3] for row in rows] == ["", "ndcg@10 0.1554, recall@20 0.1830", ""]
    assert {len(row) for row in rows} == {len(header)}
    assert "\n\nPublished in:\n\n* knn: arXiv 2002.02126, table 3\n\n" in results_markdown(found)
    assert "ublished" not in results_markdown(results())


def test_compact_rows() -> None:
    header, rows = compact_rows(results(), "ndcg@10")
    assert header == ["model", "ndcg@10", "95 %", "recall@10", "fit s", "MB"]
    assert rows[2] == ["full", "0.1500", "±0.0150", "0.3000", "1.5", "101"]


def test_comparison_rows() -> None:
    header, rows = comparison_rows(results(), "ndcg@10")
    assert header[1] == "ndcg@10"
    assert rows == [
        ["pop", "+0.2000", "+10.0%", "+0.1900 to +0.2100", "0.002", "1234"],
        ["knn", "+0.1000", "+5.0%", "+0.0900 to +0.1100", "0.002", "1234"],
    ]


@pytest.mark.parametrize("relative", [None, float("nan")])
def test_no_relative_difference(relative: float | None) -> None:
    """Where the other model finds nothing; JSON has null, what was just measured NaN."""
    found = results(relative=relative)
    assert comparison_rows(found, "ndcg@10")[1][0][2] == ""
    assert "nan" not in results_markdown(found)
    assert verdict(found, "ndcg@10") == "full beats knn, the best of the others, on ndcg@10: (p 0.002)."


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"p_adjusted": 0.06}, "ties with"),
        ({"p_adjusted": 0.04}, "beats"),
        ({"p_adjusted": 0.04, "difference": -0.1}, "does not beat"),
        ({"p_adjusted": 0.06, "difference": -0.1}, "ties with"),
    ],
)
def test_verdict(change: dict[str, Any], word: str) -> None:
    assert verdict(results(**change), "recall@10").startswith(f"full {word} knn, the best of the others, on")


def test_verdict_on_one_model() -> None:
    assert verdict({**results(), "models": results()["models"][:1]}, "ndcg@10") == ""


def test_markdown() -> None:
    assert markdown(["a", "b"], [["1", "2"], ["3", "4"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"


def test_results_markdown() -> None:
    text = results_markdown(results())
    assert text.startswith("# small\n")
    assert text.endswith("\n")
    assert "1,234 users, 80 items, 56,789 training interactions; 2 seed(s)" in text
    assert "## full against the others" in text
    assert verdict(results(), "ndcg@10") in text
    tables = re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.MULTILINE)
    assert [table.strip().count("\n") + 1 for table in tables] == [5, 4]
    for table in tables:
        assert len({line.count("|") for line in table.strip().splitlines()}) == 1


def test_results_markdown_of_one_model() -> None:
    text = results_markdown({**results(), "models": results()["models"][:1], "comparisons": []})
    assert "against" not in text


def test_results_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(results_csv(results()))))
    assert len(rows) == 3 * 2 * 3
    assert rows[-1] == {
        "model": "full",
        "seed": "1",
        "metric": "coverage",
        "value": "0.5",
        "fit_seconds": "2.0",
        "evaluate_seconds": "0.25",
        "peak_memory_mb": "101.0",
    }


def test_results_csv_quotes_names() -> None:
    found = copy.deepcopy(results())
    found["models"][0]["name"] = 'a,"b"'
    assert next(csv.DictReader(io.StringIO(results_csv(found))))["model"] == 'a,"b"'


def test_save_results(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    save_results(results(), folder)
    names = {
        "report.html",
        "results.json",
        "results.md",
        "results.csv",
        "accuracy.png",
        "accuracy.svg",
        "cost.png",
        "cost.svg",
    }
    assert {path.name for path in folder.iterdir()} == names
    assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == results()
    assert (folder / "results.md").read_text(encoding="utf-8") == results_markdown(results())
    assert (folder / "results.csv").read_text(encoding="utf-8") == results_csv(results())


def test_json_has_only_numbers_that_exist(tmp_path: Path) -> None:
    save_results(results(relative=float("nan"), p=float("inf")), tmp_path)

    def refuse(text: str) -> None:
        raise AssertionError(text)

    found = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert (found["comparisons"][0]["relative"], found["comparisons"][0]["p"]) == (None, None)
