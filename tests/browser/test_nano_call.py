"""A call with the model in the box: it is asked about what the camera sees, and answers aloud."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest
from playwright.sync_api import Page, expect

from box_sounds import ABOUT_IT, microphone_file

ANSWER_MS = 40_000  # the question comes again and again
SOMETHING = re.compile(r":\s*\w")  # after the speaker's name


@pytest.fixture(scope="module")
def server_command(nano: tuple[str, ...]) -> tuple[str, ...]:
    """Call the model in the box."""
    return nano


@pytest.fixture(scope="module")
def sound() -> bytes:
    """Ask what is seen, once the camera is on."""
    return microphone_file(ABOUT_IT, before_s=1.5, after_s=12.0)


def kind_of(frame: str | bytes) -> str:
    """Name the event of a frame."""
    return str(json.loads(frame)["type"])


def test_a_spoken_question_about_a_picture_is_answered_aloud_and_stays(page: Page) -> None:
    with page.expect_websocket() as opened:
        page.get_by_role("button", name="Call", exact=True).click()
    kept_turns: list[str] = []
    page.on("response", lambda response: kept_turns.extend(re.findall("/messages$", response.url)))
    told_of: Counter[str] = Counter()
    opened.value.on("framereceived", lambda frame: told_of.update([kind_of(frame)]))
    page.get_by_role("button", name="Turn the camera on").click()
    lines = page.get_by_role("listitem")
    asked = lines.filter(has_text=SOMETHING).filter(has=page.locator("img"))
    expect(asked).not_to_have_count(0, timeout=ANSWER_MS)
    told = asked.first.locator("xpath=following-sibling::li").filter(has_text="nano")
    expect(told.first).to_have_text(SOMETHING, timeout=ANSWER_MS)
    while told_of["response.done"] < told_of["response.created"]:
        page.wait_for_timeout(50)
    page.get_by_role("button", name="End the call").click()
    question = page.get_by_role("article", name="You").filter(has=page.locator("img"))
    expect(question.first).to_be_visible()
    answer = page.get_by_role("article", name="nano").last
    expect(answer.get_by_role("button", name="Play the answer")).to_be_visible()
    while len(kept_turns) < page.get_by_role("article").count():
        page.wait_for_timeout(50)
    page.reload()
    page.get_by_role("button", name="Show or hide conversations").click()
    kept = page.get_by_role("complementary", name="Conversations").get_by_role("listitem")
    kept.first.get_by_role("button").first.click()
    expect(question.first).to_be_visible()


def test_the_keyboard_mutes_and_leaves_and_the_camera_closes(page: Page) -> None:
    page.get_by_role("button", name="Call", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Listening")
    page.get_by_role("button", name="Turn the camera on").press("Enter")
    expect(page.locator("video")).to_be_visible()
    page.get_by_role("button", name="Turn the camera off").press("Enter")
    expect(page.locator("video")).to_be_hidden()
    page.get_by_role("button", name="Turn the microphone off").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("off")
    page.keyboard.press("Escape")
    expect(page.get_by_label("Message")).to_be_visible()
