"""The app's five screens as pictures, for the documentation: `make pictures` keeps them.

The model is a stand-in, whose answer is written and whose edit is arithmetic; all else is real.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

import stand_in

KEPT = Path(__file__).parents[2] / "docs" / "pictures"
KEEP = "MYNA_TEST_KEEP_PICTURES"
MAX_BYTES = 75_000  # of each picture: twenty of them stay under 1.5 MB
SIZES = {"desktop": (1200, 780), "phone": (390, 780)}
THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def server_command() -> tuple[str, ...]:
    """Serve the stand-in."""
    return (sys.executable, stand_in.__file__)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Say where pictures go: nowhere that lasts, unless they are asked for."""
    return KEPT if os.environ.get(KEEP) else tmp_path_factory.mktemp("pictures")


@pytest.fixture(params=[(size, theme) for size in SIZES for theme in THEMES], ids="-".join)
def view(
    request: pytest.FixtureRequest, browser: Browser, address: str
) -> Iterator[tuple[Page, str]]:
    """Open the app in one size and theme."""
    size, theme = request.param
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto(f"{address}/")
    yield page, f"{size}-{theme}"
    context.close()


def keep(page: Page, folder: Path, name: str) -> None:
    """Write what is seen as WebP, small enough to lie in a repository."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.webp"
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, quality=80, method=6)
    assert path.stat().st_size <= MAX_BYTES


def test_every_screen_has_its_picture(view: tuple[Page, str], folder: Path) -> None:
    page, name = view
    scene = {"name": "house.png", "mimeType": "image/png", "buffer": stand_in.scene()}
    page.locator("form input[type=file]").set_input_files(scene)
    page.get_by_label("Message").fill(next(iter(stand_in.ANSWERS)))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Answer again")).to_be_visible()
    page.mouse.move(0, 0)
    keep(page, folder, f"talk-{name}")

    page.get_by_role("button", name="Change this picture").click()
    tree = page.get_by_role("navigation", name="Edits").get_by_role("button")
    page.get_by_label("What to change").fill("Make it evening, and light the windows")
    page.keyboard.press("Enter")
    expect(tree).to_have_count(2)
    expect(page.get_by_role("progressbar")).to_have_count(0)
    page.get_by_label("What to change").fill("Paint the roof another colour")
    tree.first.click()
    page.keyboard.press("Escape")
    page.get_by_label("What to change").press("Enter")
    expect(tree).to_have_count(3)
    tree.nth(1).click()
    page.mouse.move(0, 0)
    keep(page, folder, f"picture-{name}")

    for screen in ("Models", "Settings"):
        page.get_by_role("button", name=screen, exact=True).click()
        expect(page.get_by_role("heading", name=screen, exact=True)).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.mouse.move(0, 0)
        keep(page, folder, f"{screen.lower()}-{name}")

    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Listening")
    lines = page.get_by_role("listitem")
    expect(lines.filter(has_text="nothing leaves it")).not_to_have_count(0, timeout=30_000)
    expect(lines.filter(has_text="network is down")).not_to_have_count(0)
    keep(page, folder, f"call-{name}")
