"""Around the screens: the palette, keys, light and dark, and the other screens."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from myna.core.ledger import NAME, note_departure


def test_the_palette_finds_what_the_app_can_do(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Search").fill("settings")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()


def test_a_new_conversation_is_a_key_away(page: Page) -> None:
    page.get_by_label("Message").fill("hello")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="You")).to_be_visible()
    page.keyboard.press("Control+Shift+o")
    expect(page.get_by_role("article")).to_have_count(0)


def test_words_typed_at_once_are_a_question(page: Page) -> None:
    expect(page.get_by_label("Message")).to_be_focused()
    page.keyboard.type("hello")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="You")).to_have_text(re.compile("hello"))
    page.keyboard.press("Control+Shift+o")
    expect(page.get_by_label("Message")).to_be_focused()


def test_light_and_dark_are_kept(page: Page) -> None:
    page.get_by_role("button", name="Light or dark").click()
    chosen = page.evaluate("document.documentElement.dataset.theme")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == chosen


def test_models_are_listed_with_their_licence(page: Page) -> None:
    page.get_by_role("button", name="Models").click()
    expect(page.get_by_role("heading", name="qwen3-omni", exact=True)).to_be_visible()
    expect(page.get_by_text("Apache-2.0").first).to_be_visible()


def test_models_tell_what_they_need_and_the_server_what_fits(page: Page) -> None:
    with page.expect_response("**/api/v1/models") as waiting:
        page.get_by_role("button", name="Models").click()
    known = [title for title in waiting.value.json()["models"] if title["needs_bytes"]]
    fitting = sum(title["fits"] or title["fits_packed"] or False for title in known)
    expect(page.locator("li .text-fits")).to_have_count(fitting)
    expect(page.locator("li .text-error")).to_have_count(len(known) - fitting)
    row = page.get_by_role("listitem").filter(has_text="qwen2.5-0.5b-instruct")
    expect(row).to_contain_text("needs 1.6 GB")
    expect(row.get_by_role("button", name="Measure the speed")).to_be_enabled()


def test_settings_tell_what_left_this_machine(page: Page, home: Path) -> None:
    page.get_by_role("button", name="Settings").click()
    expect(page.get_by_text("Nothing has left this machine.")).to_be_visible()
    for path in ("/config.json", "/model.safetensors"):
        note_departure(home, purpose="model", host="hub.example", path=path)
    page.reload()
    ledger = page.get_by_role("region", name="What left this machine")
    expect(ledger.get_by_text(f"kept in {home}")).to_be_visible()
    ledger.get_by_text("asked 2 times, to fetch a model").click()
    expect(ledger.get_by_text("/model.safetensors")).to_be_visible()
    (home / NAME).unlink()


def test_nothing_moves_where_little_motion_is_wished_for(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.get_by_label("Message").fill("word " * 400)
    page.keyboard.press("Enter")
    assert page.evaluate("document.getAnimations().length") == 0


def test_the_app_can_be_installed(page: Page) -> None:
    address = page.get_attribute("link[rel=manifest]", "href")
    assert address is not None
    manifest = page.request.get(f"{page.url.split('#')[0]}{address.removeprefix('./')}").json()
    assert manifest["name"] == "Myna"
    assert page.request.get(page.url.split("#")[0] + "sw.js").ok
