"""Whose turn it is in a call: spoken over, the app falls silent; a held key opens the microphone.

A script speaks into the microphone at known times, and listens to all that goes to the speaker.
"""

from __future__ import annotations

import base64
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from box_sounds import A_SUM, samples_of, wave_file

MAX_CUT_MS = 150.0
NUM_ATTEMPTS = 3
AUDIBLE = 0.01  # of full scale
UNHEARD_MS = 1000  # after which a turn would have been heard
MICROPHONE_HZ = 48_000
SOMETHING = re.compile(r":\s*\w")  # after the speaker's name
ANSWER_MS = 30_000  # on a busy machine
SCRIPT = (Path(__file__).parent / "turns.js").read_text()


@pytest.fixture(scope="module")
def server_command(nano: tuple[str, ...]) -> tuple[str, ...]:
    """Call the model in the box."""
    return nano


@pytest.fixture
def context(context: BrowserContext) -> BrowserContext:
    """Take the places of the microphone and of the listener."""
    context.add_init_script(SCRIPT)
    return context


@pytest.fixture(scope="module")
def spoken() -> str:
    """Give a spoken sum, for the page, from its first sound on."""
    samples = samples_of(A_SUM, rate_hz=MICROPHONE_HZ)
    samples = samples[np.argmax(np.abs(samples) > AUDIBLE) :]
    return base64.b64encode(wave_file(samples, rate_hz=MICROPHONE_HZ)).decode()


@pytest.fixture
def call(page: Page) -> Page:
    """Begin a call."""
    page.get_by_role("button", name="Call", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Listening")
    return page


def test_speech_over_the_answer_silences_it_within_150_ms(call: Page, spoken: str) -> None:
    found = {"wasLoud": False}
    for _ in range(NUM_ATTEMPTS):  # an answer may be over before it can be spoken over
        if not found["wasLoud"]:
            found = call.evaluate("(data) => window.turns.bargeIn(data)", spoken)
            logging.getLogger(__name__).info("times of a barge-in: %s", found)
    assert found["wasLoud"]
    assert found["cutMs"] <= MAX_CUT_MS, found
    call.evaluate("() => window.turns.untilSound()")  # and the question is answered


def test_the_space_bar_is_held_to_talk(call: Page, spoken: str) -> None:
    lines = call.get_by_role("listitem")
    call.get_by_role("button", name="Turn the microphone off").click()
    expect(call.get_by_role("status")).to_contain_text("off")
    call.evaluate("(data) => window.turns.say(data)", spoken)
    call.wait_for_timeout(UNHEARD_MS)
    expect(lines).to_have_count(0)
    call.locator("main").click(position={"x": 5, "y": 5})  # the button has a space bar of its own
    call.keyboard.down(" ")
    expect(call.get_by_role("status")).to_contain_text("Listening")
    call.evaluate("(data) => window.turns.say(data)", spoken)
    call.keyboard.up(" ")
    expect(call.get_by_role("status")).to_contain_text("off")
    expect(lines.filter(has_text="nano").first).to_contain_text(SOMETHING, timeout=ANSWER_MS)
