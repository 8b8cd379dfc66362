"""Picture: pictures in, words and a mask, results to compare, to keep and to change again."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect

import stand_in

AXE = Path(__file__).parents[2] / "webapp" / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 390, "height": 844}
SIZE = (96, 64)


@pytest.fixture(scope="module")
def server_command() -> tuple[str, ...]:
    """Serve a stand-in that changes pictures."""
    return (sys.executable, stand_in.__file__)


def picture(name: str, colour: tuple[int, int, int] = (200, 60, 40)) -> FilePayload:
    out = io.BytesIO()
    Image.new("RGB", SIZE, colour).save(out, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": out.getvalue()}


@pytest.fixture
def studio(page: Page) -> Page:
    """Open the screen with one picture, and ask for quick sketches."""
    page.get_by_role("button", name="Picture", exact=True).click()
    page.get_by_role("region", name="The picture").locator("input").set_input_files(
        picture("red.png")
    )
    expect(page.get_by_role("navigation", name="Edits")).to_contain_text("red.png")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Drawn at").select_option(str(256 * 256))
    page.get_by_label("Steps", exact=True).fill("2")
    return page


def change(page: Page, prompt: str) -> None:
    page.get_by_label("What to change").fill(prompt)
    page.keyboard.press("Enter")


def compare(page: Page) -> Locator:
    return page.get_by_role("slider", name="Before and after")


def strokes(page: Page, *places: tuple[float, float]) -> None:
    """Paint a line over places, each as parts of the picture's sides."""
    box = page.get_by_role("img", name="What was painted").bounding_box()
    assert box is not None
    for idx, (x, y) in enumerate(places):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        if idx == 0:
            page.mouse.down()
    page.mouse.up()


def tree(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Edits").get_by_role("button")


def saved(page: Page, tmp_path: Path) -> np.ndarray:
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Save the picture").click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return np.asarray(Image.open(path).convert("RGB"))


def test_an_edit_shows_its_way_and_is_compared_with_the_input(studio: Page) -> None:
    change(studio, "make it blue")
    expect(studio.get_by_role("progressbar")).to_be_visible()
    expect(compare(studio)).to_be_visible()
    compare(studio).focus()
    studio.keyboard.press("ArrowRight")
    expect(compare(studio)).to_have_attribute("aria-valuetext", "49 % after")
    expect(tree(studio)).to_have_count(2)
    expect(tree(studio).last).to_contain_text("make it blue")


def test_what_is_not_painted_keeps_its_pixels(studio: Page, tmp_path: Path) -> None:
    strokes(studio, (0.8, 0.2), (0.8, 0.8))
    expect(studio.get_by_text("Only what is painted will change")).to_be_visible()
    change(studio, "a stripe")
    expect(compare(studio)).to_be_visible()
    pixels = saved(studio, tmp_path)
    assert pixels.shape == (SIZE[1], SIZE[0], 3)
    assert (pixels[:, : SIZE[0] // 2] == (200, 60, 40)).all()
    assert (pixels[20:40, 74:80] != (200, 60, 40)).any()
    # The mask is still there for other words.
    tree(studio).first.click()
    expect(studio.get_by_text("Only what is painted will change")).to_be_visible()


def test_strokes_are_undone_redone_erased_and_cleared(studio: Page) -> None:
    hint = studio.get_by_text("Paint what may change")
    strokes(studio, (0.2, 0.2), (0.4, 0.4))
    expect(hint).to_be_hidden()
    studio.keyboard.press("Control+z")
    expect(hint).to_be_visible()
    studio.keyboard.press("Control+Shift+z")
    expect(hint).to_be_hidden()
    painted = opaque(studio)
    studio.keyboard.press("e")
    studio.get_by_role("slider", name="Size of the brush").fill("0.3")
    strokes(studio, (0.2, 0.2), (0.3, 0.3))
    assert 0 < opaque(studio) < painted
    studio.get_by_role("button", name="Clear what was painted").click()
    expect(hint).to_be_visible()
    assert opaque(studio) == 0
    studio.get_by_role("button", name="Undo").click()
    assert opaque(studio) > 0
    studio.get_by_role("button", name="Redo").click()
    assert opaque(studio) == 0


def opaque(page: Page) -> int:
    """Count the pixels that are painted."""
    count = page.locator("canvas").evaluate(
        "c => c.getContext('2d').getImageData(0, 0, c.width, c.height)"
        ".data.filter((v, i) => i % 4 === 3 && v > 0).length"
    )
    assert isinstance(count, int)
    return count


def test_several_results_branch_and_each_can_be_the_input(studio: Page) -> None:
    studio.get_by_label("How many").select_option("2")
    studio.get_by_label("Seed").fill("7")
    change(studio, "first")
    expect(tree(studio)).to_have_count(3)
    expect(studio.get_by_role("progressbar")).to_have_count(0)
    tree(studio).last.click()
    studio.get_by_role("button", name="Use as input").click()
    expect(tree(studio).last).to_contain_text("goes in")
    studio.get_by_label("How many").select_option("1")
    change(studio, "second")
    expect(tree(studio)).to_have_count(4)
    assert studio.locator("nav ul ul ul button").count() == 1
    tree(studio).first.focus()
    studio.keyboard.press("ArrowDown")
    studio.keyboard.press("Enter")
    expect(tree(studio).nth(1)).to_have_attribute("aria-current", "true")
    expect(studio.get_by_role("link", name="Save the picture")).to_have_attribute(
        "download", "myna-7.png"
    )


def test_steps_that_hardly_change_are_skipped_where_that_is_wished_for(studio: Page) -> None:
    skip = studio.get_by_role("switch", name="Skip steps that hardly change")
    expect(skip).not_to_be_checked()
    expect(skip).to_have_accessible_description(re.compile("alike, not the same"))
    studio.get_by_label("Steps", exact=True).fill("9")
    skip.press("Space")
    change(studio, "quickly")
    expect(compare(studio)).to_be_visible()
    expect(studio.get_by_text("7 of 9 steps were skipped")).to_be_visible()


def test_an_edit_can_be_stopped(studio: Page) -> None:
    studio.get_by_label("Steps", exact=True).fill("400")
    change(studio, "never")
    studio.get_by_role("button", name="Stop drawing").click()
    expect(studio.get_by_role("progressbar")).to_have_count(0)
    expect(studio.get_by_role("alert")).to_have_count(0)
    expect(tree(studio)).to_have_count(1)


def test_three_pictures_go_together_and_a_fourth_is_left_out(studio: Page) -> None:
    inputs = studio.get_by_role("list", name="Pictures that go in")
    adder = inputs.locator("input[type=file]")
    adder.set_input_files([picture("b.png", (0, 99, 0)), picture("c.png"), picture("d.png")])
    expect(inputs.get_by_role("img")).to_have_count(3)
    expect(studio.get_by_role("alert")).to_contain_text("d.png was left out")
    studio.get_by_role("button", name="Remove c.png").click()
    change(studio, "put picture 2 beside picture 1")
    expect(compare(studio)).to_be_visible()


def test_pictures_are_dropped_and_pasted(page: Page) -> None:
    page.get_by_role("button", name="Picture", exact=True).click()
    expect(page.get_by_text("Drop a picture here")).to_be_visible()
    page.evaluate(TAKE, ["drop", "main", [*picture("a.png")["buffer"]]])
    expect(page.get_by_role("img", name="a.png").first).to_be_visible()
    page.evaluate(TAKE, ["paste", "body", [*picture("b.png")["buffer"]]])
    inputs = page.get_by_role("list", name="Pictures that go in").get_by_role("img")
    expect(inputs).to_have_count(2)


TAKE = """([kind, place, bytes]) => {
  const carried = new DataTransfer();
  carried.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
  const init = { bubbles: true, cancelable: true };
  const event = kind === "drop"
    ? new DragEvent("drop", { ...init, dataTransfer: carried })
    : new ClipboardEvent("paste", { ...init, clipboardData: carried });
  document.querySelector(place).dispatchEvent(event);
}"""


def test_what_is_no_picture_is_named(page: Page) -> None:
    page.get_by_role("button", name="Picture", exact=True).click()
    broken: FilePayload = {"name": "x.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.get_by_role("region", name="The picture").locator("input").set_input_files(broken)
    expect(page.get_by_role("alert")).to_contain_text("x.png is no picture")


def test_a_picture_and_what_came_of_it_are_forgotten(studio: Page) -> None:
    change(studio, "one")
    expect(tree(studio)).to_have_count(2)
    studio.get_by_role("button", name="Forget this picture").click()
    expect(tree(studio)).to_have_count(1)
    studio.get_by_role("button", name="Forget this picture").click()
    expect(studio.get_by_text("Drop a picture here")).to_be_visible()


def test_the_tree_of_edits_outlives_a_reload(studio: Page) -> None:
    change(studio, "one")
    expect(tree(studio)).to_have_count(2)
    studio.get_by_role("button", name="Use as input").click()
    change(studio, "two")
    expect(tree(studio)).to_have_count(3)
    expect(studio.get_by_role("progressbar")).to_have_count(0)
    studio.reload()
    expect(tree(studio)).to_have_count(3)
    assert studio.locator("nav ul ul ul button").count() == 1
    expect(tree(studio).nth(1)).to_contain_text("goes in")
    studio.get_by_role("button", name="Forget this picture").click()
    expect(tree(studio)).to_have_count(1)
    studio.reload()
    expect(tree(studio)).to_have_count(1)
    expect(tree(studio)).to_contain_text("red.png")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(studio: Page, theme: str) -> None:
    studio.evaluate(f"document.documentElement.dataset.theme = {theme!r}")
    studio.evaluate(AXE.read_text())
    strokes(studio, (0.2, 0.2), (0.4, 0.4))
    check(studio)
    change(studio, "one")
    expect(compare(studio)).to_be_visible()
    check(studio)


def check(page: Page) -> None:
    wide = page.viewport_size
    for size in (PHONE, wide):
        assert size is not None
        page.set_viewport_size(size)
        found = page.evaluate("axe.run()")["violations"]
        assert [(item["id"], item["impact"], item["nodes"][0]["html"]) for item in found] == []
