"""Picture, once through a real network: a tiny one, whose pictures are noise."""

from __future__ import annotations

import io
import sys

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from myna.models.tiny_image_edit import write_tiny_image_edit

EDIT_MS = 60_000  # a first edit on a busy machine


@pytest.fixture(scope="module")
def server_command(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Serve a tiny model that changes pictures."""
    folder = write_tiny_image_edit(tmp_path_factory.mktemp("models") / "tiny-edit")
    return (sys.executable, "-m", "myna", "serve", str(folder), "--port", "0")


def test_a_model_draws_and_the_result_is_compared(page: Page) -> None:
    out = io.BytesIO()
    Image.new("RGB", (96, 64), (200, 60, 40)).save(out, "PNG")
    page.get_by_role("button", name="Picture", exact=True).click()
    page.get_by_role("region", name="The picture").locator("input").set_input_files(
        {"name": "red.png", "mimeType": "image/png", "buffer": out.getvalue()}
    )
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Drawn at").select_option(str(256 * 256))
    page.get_by_label("Steps", exact=True).fill("2")
    page.get_by_label("What to change").fill("make it blue")
    page.keyboard.press("Enter")
    expect(page.get_by_role("slider", name="Before and after")).to_be_visible(timeout=EDIT_MS)
    expect(page.get_by_role("navigation", name="Edits").get_by_role("button")).to_have_count(2)
