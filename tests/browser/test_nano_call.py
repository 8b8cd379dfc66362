"""A call with the model in the box: it is asked about what the camera sees, and answers aloud."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from box_sounds import A_THING, ABOUT_IT, camera_file, microphone_file

ANSWER_MS = 40_000  # the question comes again and again
SOMETHING = re.compile(r":\s*\w")  # after the speaker's name


@pytest.fixture(scope="module")
def address(nano: str) -> str:
    """Call the model in the box."""
    return nano


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ask what is seen, once the camera is on."""
    path = tmp_path_factory.mktemp("sound") / "question.wav"
    path.write_bytes(microphone_file(ABOUT_IT, before_s=1.5, after_s=4.0))
    return path


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let the camera see the picture of the tour."""
    path = tmp_path_factory.mktemp("sight") / "thing.mjpeg"
    path.write_bytes(camera_file(A_THING))
    return path


def test_a_spoken_question_about_a_picture_is_answered_aloud_and_stays(page: Page) -> None:
    page.get_by_role("button", name="Call", exact=True).click()
    page.get_by_role("button", name="Turn the camera on").click()
    lines = page.get_by_role("listitem")
    asked = lines.filter(has_text="You").filter(has_text=SOMETHING)
    told = lines.filter(has_text="nano").filter(has_text=SOMETHING)
    expect(asked).not_to_have_count(0, timeout=ANSWER_MS)
    expect(told).not_to_have_count(0, timeout=ANSWER_MS)
    page.get_by_role("button", name="End the call").click()
    question = page.get_by_role("article", name="You")
    expect(question.first.locator("img")).to_be_visible()
    answer = page.get_by_role("article", name="nano").first
    expect(answer.get_by_role("button", name="Play the answer")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.reload()  # and is kept
    page.keyboard.press("Control+b")
    kept = page.get_by_role("complementary", name="Conversations").get_by_role("listitem")
    kept.first.get_by_role("button").first.click()
    expect(question.first.locator("img")).to_be_visible()
