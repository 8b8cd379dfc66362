"""Everybody can use it: no finding of axe on any screen, in light and dark, wide and narrow."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from myna.server.routes.page import APP

AXE = Path(__file__).parents[2] / "webapp" / "node_modules" / "axe-core" / "axe.min.js"
FIRST_LOAD_BYTES = 300_000  # of gzip
PHONE = {"width": 390, "height": 844}
SCREENS = ("talk", "answered", "call", "picture", "models", "settings", "palette", "history")


def show(page: Page, screen: str) -> None:
    match screen:
        case "answered":
            page.get_by_label("Message").fill("some *text* and $x$\n\n```\ncode\n```")
            page.keyboard.press("Enter")
            expect(page.get_by_role("button", name="Answer again")).to_be_visible()
        case "palette":
            page.keyboard.press("Control+k")
            expect(page.get_by_placeholder("Search")).to_be_visible()
        case "history":
            page.keyboard.press("Control+b")
            expect(page.get_by_role("searchbox")).to_be_visible()
        case "talk":
            expect(page.get_by_role("heading", name="echo")).to_be_visible()
        case _:
            page.get_by_role("button", name=screen.capitalize(), exact=True).click()
            there = page.get_by_role("navigation").locator("[aria-current]")
            expect(there).to_have_accessible_name(screen.capitalize())
            arrived = page.locator("main:not([aria-busy])")  # parts load when shown
            expect(arrived.get_by_role("heading").first).to_be_attached()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_axe_finds_nothing(page: Page, screen: str, theme: str) -> None:
    page.evaluate(f"document.documentElement.dataset.theme = {theme!r}")
    show(page, screen)
    page.evaluate(AXE.read_text())
    for size in (page.viewport_size, PHONE):
        assert size is not None
        page.set_viewport_size(size)
        found = page.evaluate("axe.run()")["violations"]
        assert [(item["id"], item["impact"], item["nodes"][0]["html"]) for item in found] == []


def test_the_first_load_is_small() -> None:
    page = (APP / "index.html").read_text()
    names = re.findall(r'(?:src|href)="\./([^"]+\.(?:js|css))"', page)
    assert names
    sizes = [len(gzip.compress((APP / name).read_bytes())) for name in names]
    assert sum(sizes) <= FIRST_LOAD_BYTES
