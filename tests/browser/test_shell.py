"""Around the screens: the palette, keys, light and dark, and the other screens."""

from __future__ import annotations

from playwright.sync_api import Page, expect


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


def test_light_and_dark_are_kept(page: Page) -> None:
    page.get_by_role("button", name="Light or dark").click()
    chosen = page.evaluate("document.documentElement.dataset.theme")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == chosen


def test_models_are_listed_with_their_licence(page: Page) -> None:
    page.get_by_role("button", name="Models").click()
    expect(page.get_by_role("heading", name="qwen3-omni", exact=True)).to_be_visible()
    expect(page.get_by_text("Apache-2.0").first).to_be_visible()


def test_voices_can_be_heard(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Hear").first.click()
    expect(page.get_by_role("alert")).to_have_count(0)
