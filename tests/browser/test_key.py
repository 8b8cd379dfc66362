"""A server with a key: the app says what is missing, and with the key all of it works."""

from __future__ import annotations

import sys

import pytest
from playwright.sync_api import BrowserContext, expect

KEY = "sk-of-the-browsers-tests-0123456789"


@pytest.fixture(scope="module")
def server_command() -> tuple[str, ...]:
    """Serve the echo to those who have the key."""
    return (sys.executable, "-m", "myna", "serve", "--echo", "--port", "0", "--api-key", KEY)


def test_the_key_is_asked_for_and_opens_talk_and_call(
    context: BrowserContext, address: str
) -> None:
    page = context.new_page()
    page.goto(f"{address}/")
    expect(page.get_by_role("alert")).to_contain_text("This server wants an API key.")
    page.get_by_role("alert").get_by_role("button", name="Settings").click()
    page.get_by_label("API key").fill(KEY)
    page.get_by_label("API key").blur()
    page.get_by_role("button", name="Talk", exact=True).click()
    expect(page.get_by_role("heading", name="echo")).to_be_visible()
    page.get_by_label("Message").fill("open sesame")
    page.keyboard.press("Enter")
    expect(page.get_by_role("article", name="echo")).to_contain_text("open sesame")
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Listening")
    assert KEY not in page.evaluate("JSON.stringify([localStorage, sessionStorage, location])")
