"""Results for people: tables and plots, made from ``results.json`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnnseg.files import write_json, write_text
from gnnseg.report.ablation import ablation_markdown
from gnnseg.report.page.results import results_page
from gnnseg.report.plots import save_plots
from gnnseg.report.tables import main_metrics, results_csv, results_markdown

__all__ = ["save_results"]


def save_results(results: Mapping[str, Any], folder: Path) -> None:
    """Write ``results.json``, ``.md``, ``.csv``, the page ``report.html`` and the plots into a folder."""
    write_json(folder / "results.json", results)
    text = results_markdown(results)
    if results["command"] == "ablate":
        text += "\n" + ablation_markdown(results, main_metrics(results, 2)[-1])
    write_text(folder / "results.md", text)
    write_text(folder / "results.csv", results_csv(results))
    write_text(folder / "report.html", results_page(results))
    save_plots(results, folder)
