"""An answer that is spoken over: only what was heard of it stays, in the call and after it."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

import stand_in
from box_sounds import MICROPHONE_HZ, wave_file
from talk_sounds import vowels

TIMES = 5  # some six seconds
HEARD_MS = 400  # at least, before it is spoken over
END = " — interrupted"
WHOLE = " ".join([stand_in.REPLY] * TIMES)
SCRIPT = (Path(__file__).parent / "turns.js").read_text()


@pytest.fixture(scope="module")
def server_command() -> tuple[str, ...]:
    """Serve a stand-in that speaks for long."""
    return (sys.executable, stand_in.__file__, str(stand_in.WORD_S), str(TIMES))


@pytest.fixture
def context(context: BrowserContext) -> BrowserContext:
    """Take the places of the microphone and of the listener."""
    context.add_init_script(SCRIPT)
    return context


def test_of_an_interrupted_answer_only_what_was_heard_stays(page: Page) -> None:
    spoken = base64.b64encode(wave_file(vowels(1.0, rate_hz=MICROPHONE_HZ), rate_hz=MICROPHONE_HZ))
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Listening")
    page.evaluate("(data) => window.turns.say(data)", spoken.decode())
    page.evaluate("() => window.turns.untilSound()")
    page.wait_for_timeout(HEARD_MS)
    page.evaluate("(data) => window.turns.say(data)", spoken.decode())
    caption = page.get_by_role("listitem").filter(has_text=END).first
    heard = (caption.text_content() or "").partition(": ")[2].removesuffix(END)
    assert WHOLE.startswith(heard)
    assert 0 < len(heard) < len(WHOLE) / 2
    page.get_by_role("button", name="End the call").click()
    answer = page.get_by_role("article", name="stand-in").first
    expect(answer.locator(".prose-myna")).to_have_text(heard)
    answer.get_by_role("button", name="Play the answer").click()
    page.get_by_role("button", name="Silence").click()
