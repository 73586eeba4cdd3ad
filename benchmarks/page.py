"""A run's page: seconds to build and to open, its size, and frames a second while panning; prints JSON.

    python benchmarks/page.py runs/gowalla --out benchmarks/results/gowalla/page.json

The page is opened in chromium without a window, from disk. ``open`` ends when the map has been drawn; frames
are those that the browser shows while the map is dragged, and ``paint`` is what drawing one takes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from shared import output

from gnnseg.environment import describe
from gnnseg.report.page import write_page

PAN = """async steps => {
  const map = window.gnnseg.map, times = [];
  map.frames.length = 0;
  for (let i = 0; i < steps; i++) {
    await new Promise(requestAnimationFrame);
    times.push(performance.now());
    map.move(i % 40 < 20 ? 6 : -6, 2);
  }
  const sorted = times.slice(1).map((t, i) => t - times[i]).sort((a, b) => a - b);
  return {median_ms: sorted[sorted.length >> 1], worst_ms: sorted[sorted.length - 1],
    frames_a_second: 1000 * sorted.length / (times[times.length - 1] - times[0]),
    paint_ms: map.frames.slice().sort((a, b) => a - b)[map.frames.length >> 1]};
}"""

SELECT = """() => {
  const map = window.gnnseg.map, started = performance.now();
  const turn = i => [300 + 250 * Math.cos(i / 16), 300 + 250 * Math.sin(i / 16)];
  map.lasso(Array.from({length: 100}, (_, i) => turn(i)));
  return {seconds: (performance.now() - started) / 1000, chosen: map.chosen};
}"""


def watched(file: Path) -> dict[str, Any]:
    """What the browser takes for a page."""
    from playwright.sync_api import sync_playwright

    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=root)
        opened = []
        for _ in range(3):
            tab = browser.new_page(viewport={"width": 1440, "height": 900})
            started = time.perf_counter()
            tab.goto(file.as_uri())
            tab.wait_for_function("window.gnnseg && window.gnnseg.map.frames.length > 0")
            opened.append(time.perf_counter() - started)
        tab.locator(".stage").scroll_into_view_if_needed()
        found = {"open_seconds": statistics.median(opened), "pan": tab.evaluate(PAN, 150)}
        found["select"] = tab.evaluate(SELECT)
        found["pan_selected"] = tab.evaluate(PAN, 150)
        found["browser"] = browser.version
        browser.close()
    return found


def main() -> None:
    """Build, open, drag, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a saved run")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        file = write_page(options.run, Path(folder) / "page.html")
        found = {"run": options.run.name, "build_seconds": time.perf_counter() - started}
        found |= {"bytes": file.stat().st_size, **watched(file)}
    output(found | {"environment": describe(torch.device("cpu"))}, options.out)


if __name__ == "__main__":
    main()
