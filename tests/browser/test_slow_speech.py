"""Speech that is made slower than it is heard: it is held back, said so, and then heard whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

import stand_in

WORD_S = 0.15  # for the text and again for the sound, which lasts less than half of that
SCRIPT = (Path(__file__).parent / "turns.js").read_text()


@pytest.fixture(scope="module")
def server_command() -> tuple[str, ...]:
    """Serve a stand-in that speaks slowly."""
    return (sys.executable, stand_in.__file__, str(WORD_S))


@pytest.fixture
def context(context: BrowserContext) -> BrowserContext:
    """Listen at the speaker."""
    context.add_init_script(SCRIPT)
    return context


def test_slow_speech_is_held_back_until_it_is_whole_and_the_app_says_why(page: Page) -> None:
    page.get_by_role("button", name="Speak answers").click()
    page.get_by_label("Message").fill("one two three four five six seven eight nine ten")
    page.keyboard.press("Enter")
    why = page.get_by_text("Speech is slower than real time here")
    expect(why).to_be_visible()
    assert not page.evaluate("() => window.turns.hasSounded()")
    page.evaluate("() => window.turns.untilSound()")
    expect(page.get_by_role("button", name="Answer again")).to_be_visible()
    expect(why).to_be_hidden()
