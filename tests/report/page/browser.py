"""Debian's chromium, driven by its own protocol."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def opened_page(file: Path, width: int, height: int) -> Iterator[tuple[Any, list[str]]]:
    """A page once it is ready, and what it complained of or asked the network for so far."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    api = pytest.importorskip("playwright.sync_api")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    said: list[str] = []
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=root)
        tab = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
        tab.on("console", lambda message: said.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: said.append(f"error: {error}"))
        tab.on("request", lambda r: None if r.url == file.as_uri() else said.append(f"request: {r.url}"))
        tab.goto(file.as_uri())
        tab.wait_for_function("window.gnnseg && window.gnnseg.ready")
        yield tab, said
        browser.close()
