"""A call: spoken to, it answers; spoken over, it falls silent; what was said stays."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def test_a_call_is_answered_captioned_and_kept(page: Page) -> None:
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Listening")
    answered = page.get_by_role("listitem").filter(has_text="bytes")
    expect(answered).not_to_have_count(0, timeout=20_000)
    page.get_by_role("button", name="End the call").click()
    expect(page.get_by_label("Message")).to_be_visible()
    expect(page.get_by_role("article").first).to_be_visible()


def test_the_keyboard_mutes_and_leaves(page: Page) -> None:
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Listening")
    page.get_by_role("button", name="Turn the microphone off").click()
    expect(page.get_by_role("status")).to_contain_text("off")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Message")).to_be_visible()


def test_the_camera_can_look(page: Page) -> None:
    page.get_by_role("button", name="Call", exact=True).click()
    page.get_by_role("button", name="Turn the camera on").click()
    expect(page.locator("video")).to_be_visible()
    page.get_by_role("button", name="Turn the camera off").click()
    expect(page.locator("video")).to_be_hidden()
