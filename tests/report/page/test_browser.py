"""The page in a real browser: Debian's chromium, driven by its own protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gnnseg.report.page import page, page_data
from tests.report.page.browser import CHROMIUM, opened_page
from tests.runs import saved_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

TITLES = [
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "\"quotes\" and 'more' &amp; \u2028",
    "\u202eright to left \u05e9\u05dc\u05d5\u05dd",
    "long " * 2000,
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[str]]]:
    """One page for all tests, its item titles hostile, and what it complained of or asked the network for."""
    data = page_data(saved_run(), compare=saved_run())
    names, users = data["map"]["names"], data["map"]["users"]
    names[users : users + len(TITLES)] = TITLES
    data["segments"][0]["name"] = TITLES[1]
    data["people"][0]["history"][: len(TITLES)] = TITLES
    data["fairness"]["groups"][0]["groups"][0]["name"] = TITLES[1]
    data["notes"].append({"title": TITLES[0], "text": TITLES[2]})
    file = tmp_path_factory.mktemp("page") / "page.html"
    file.write_text(page(TITLES[1], data), encoding="utf-8")
    with opened_page(file, 1280, 900) as opened:
        yield opened


def test_hostile_titles_stay_text(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.querySelectorAll('script').length") == 2
    assert tab.evaluate("document.images.length") == 0
    shown = tab.evaluate("[...document.querySelectorAll('#users bdi')].map(b => b.textContent)")
    assert all(title in shown for title in TITLES)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_groups_and_exposure(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened
    fair = tab.evaluate("JSON.parse(document.getElementById('data').textContent).fairness")
    assert tab.locator("#fairness tbody tr").count() == 3 + sum(len(g["groups"]) for g in fair["groups"])
    text = tab.locator("#fairness").inner_text()
    assert f"{fair['exposure']['gini']:.3f}" in text
    assert TITLES[1] in text
    assert text.count("shuffled users would lie") == len(fair["groups"])


def test_search_by_keyboard(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened
    tab.focus("#search")
    tab.keyboard.type("<img src")
    assert tab.locator("#hits li").all_inner_texts() == [f"{TITLES[2]}\nitem"]
    tab.keyboard.press("Enter")
    assert tab.evaluate("window.gnnseg.map.data.names[window.gnnseg.map.focus]") == TITLES[2]
    assert TITLES[2] in tab.locator("#status").inner_text()
    assert tab.evaluate("window.gnnseg.map.view.zoom") >= 4


def test_lasso_zoom_and_keys(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened
    tab.get_by_role("button", name="Reset").click()
    tab.locator(".stage canvas").scroll_into_view_if_needed()
    box = tab.locator(".stage canvas").bounding_box()
    tab.get_by_role("button", name="Lasso").click()
    x, y, w, h = (box[name] for name in ("x", "y", "width", "height"))
    corners = [(0.01, 0.01), (0.5, 0.01), (0.5, 0.99), (0.01, 0.99)]
    tab.mouse.move(x + w * 0.01, y + h * 0.01)
    tab.mouse.down()
    for across, down in corners:
        tab.mouse.move(x + w * across, y + h * down, steps=3)
    tab.mouse.up()
    inside = tab.evaluate(
        "(() => { const m = window.gnnseg.map, half = m.canvas.clientWidth / 2; let n = 0;"
        "for (let i = 0; i < m.total; i++) if (m.at(i)[0] < half) n++; return [n, m.chosen, m.total]; })()"
    )
    assert inside[0] == inside[1]
    assert 0 < inside[1] < inside[2]
    assert "selected" in tab.locator("#selection").inner_text()
    tab.get_by_role("button", name="Move").click()
    tab.focus(".stage canvas")
    before = tab.evaluate("({...window.gnnseg.map.view})")
    tab.keyboard.press("+")
    tab.keyboard.press("ArrowLeft")
    after = tab.evaluate("({...window.gnnseg.map.view})")
    assert after["zoom"] > before["zoom"]
    assert after["x"] < before["x"]
    tab.keyboard.press("Escape")
    assert tab.evaluate("window.gnnseg.map.chosen") == 0


def test_from_a_card_to_the_map_and_to_a_user(opened: tuple[Any, list[str]]) -> None:
    tab, _ = opened
    card = tab.locator("#segment-1")
    card.get_by_role("button", name="Show on the map").click()
    assert tab.evaluate("window.gnnseg.map.group") == 1
    user = card.locator("button.tag").first
    name = user.inner_text()
    user.click()
    assert tab.locator(".pick [aria-pressed=true]").get_attribute("data-user") == name
    assert tab.locator("#users h3").inner_text() == f"user {name}"
    tab.locator(".over button").click()
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"


def test_nothing_was_asked_of_the_network_and_nothing_went_wrong(opened: tuple[Any, list[str]]) -> None:
    tab, said = opened
    assert said == []
    tab.evaluate("fetch('https://example.org/').catch(() => 0)")
    assert any("Content Security Policy" in text for text in said), json.dumps(said)
