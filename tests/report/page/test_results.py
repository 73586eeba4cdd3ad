"""The page of benchmarks and ablations: its data, and the page in Debian's chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gnnseg.report import save_results
from gnnseg.report.page.results import results_data, results_page
from tests.report.page.browser import opened_page
from tests.report.test_ablation import results as ablation
from tests.report.test_tables import results as benchmark

HOSTILE = "</script><script>window.hacked = 1</script>"


def test_figures_are_those_of_the_results() -> None:
    found, made = benchmark(), results_data(benchmark())["results"]
    assert [m["name"] for m in made["models"]] == [m["name"] for m in found["models"]]
    assert [m["metrics"] for m in made["models"]] == [m["metrics"] for m in found["models"]]
    assert made["models"][0]["fit"] == 1.5  # of two seeds, 1 and 2 s
    assert made["comparisons"] == found["comparisons"]
    assert made["groups"] is None
    assert made["metric"] == "ndcg@10"


def test_files(tmp_path: Path) -> None:
    save_results(benchmark(), tmp_path)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text == results_page(benchmark())
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_ablation() -> None:
    made = results_data(ablation())["results"]
    assert made["title"] == "Ablation"
    assert {m["role"] for m in made["models"]} >= {"global", "control", "full"}
    assert len(made["groups"]["rows"]) == len(ablation()["histories"]) + len(ablation()["segments"])
    assert made["verdicts"][0].startswith("Segments")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[str]]]:
    """A page whose first model has a hostile name, and what it complained of or asked the network for."""
    found = json.loads(json.dumps(benchmark()).replace(json.dumps("pop"), json.dumps(HOSTILE)))
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(results_page(found), encoding="utf-8")
    with opened_page(file, 390, 800) as page:
        yield page


def test_leaderboard_and_differences(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened
    found = benchmark()
    best = max(found["models"], key=lambda m: m["metrics"]["ndcg@10"]["mean"])
    assert tab.locator("#leaderboard tbody th").first.inner_text() == best["name"]
    assert tab.locator("#leaderboard tbody tr").count() == len(found["models"])
    assert tab.locator("#costs g.model").count() == len(found["models"])
    assert tab.locator("#differences tbody tr").count() == len(found["models"]) - 1
    assert HOSTILE in tab.locator("#leaderboard").inner_text()
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_another_metric(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened
    tab.select_option("#metric", "recall@10")
    best = max(benchmark()["models"], key=lambda m: m["metrics"]["recall@10"]["mean"])
    figure = f"{best['metrics']['recall@10']['mean']:.4f}"
    assert figure in tab.locator("#leaderboard tbody tr").first.inner_text()
    assert tab.locator("#leaderboard thead").inner_text().count("recall@10") == 1
    tab.locator(".over button").click()
    assert tab.evaluate("document.documentElement.dataset.theme") in ("dark", "light")


def test_nothing_went_wrong(opened: tuple[Any, list[str]]) -> None:
    assert opened[1] == []
