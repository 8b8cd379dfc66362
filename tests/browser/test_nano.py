"""The model in the box, through the app: typed to, shown things, spoken to, listened to.

What it says is the business of its evaluation; here an answer must come all the way. Only typed
questions that it answers well are held to their answers.
"""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from box_sounds import A_CLIP, A_SUM, A_THING, microphone_file
from kept_talk import wait_until_kept

ANSWER_MS = 30_000  # on a busy machine
SOMETHING = re.compile(r"\w")
NUM_TRIES = 4
NUM_WORDS = 4  # at least, in the answer to a sum
# Gives all that was marked as heard, until nothing is any more.
MARKED = """() => new Promise((resolve) => {
  const marked = new Set();
  const look = () => {
    const mark = document.querySelector("mark");
    if (mark?.textContent) marked.add(mark.textContent);
    if (marked.size > 0 && mark === null) resolve([...marked]);
    else requestAnimationFrame(look);
  };
  look();
})"""
ALIKE = 0.95  # cameras have colours of their own
WATCH = """() => {
  window.seen = [];
  new MutationObserver(() => {
    const text = [...document.querySelectorAll("article")].at(-1)?.textContent ?? "";
    if (window.seen.at(-1) !== text) window.seen.push(text);
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@pytest.fixture(scope="module")
def server_command(nano: tuple[str, ...]) -> tuple[str, ...]:
    """Ask the model in the box."""
    return nano


@pytest.fixture(scope="module")
def sound() -> bytes:
    """Let the microphone hear a sum."""
    return microphone_file(A_SUM, before_s=0.2, after_s=3.0)


def send(page: Page, text: str = "") -> Locator:
    """Ask, and wait for the end of the answer."""
    page.get_by_label("Message").fill(text)
    page.get_by_role("button", name="Send").click()
    return answered(page)


def answered(page: Page) -> Locator:
    """Wait for the end of the latest answer, which must have words."""
    answer = page.get_by_role("article", name="nano").last
    expect(answer.get_by_role("button", name="Answer again")).to_be_visible(timeout=ANSWER_MS)
    expect(answer.get_by_role("alert")).to_have_count(0)
    expect(answer.locator(".prose-myna")).to_have_text(SOMETHING)
    return answer


def likeness(left: Image.Image, right: Image.Image) -> float:
    """Tell how alike two pictures are from afar: 1 is the same but for brightness and contrast."""
    small = [np.asarray(each.convert("L").resize((8, 8)), float).ravel() for each in (left, right)]
    return float(np.corrcoef(small)[0, 1])


def question(page: Page) -> Locator:
    return page.get_by_role("article", name="You").last


def test_a_typed_sum_is_answered_as_it_is_written(page: Page) -> None:
    page.evaluate(WATCH)
    answer = send(page, "What is two plus two?")
    expect(answer.locator(".prose-myna")).to_have_text(re.compile("four"))
    expect(answer).to_contain_text("tokens/s")
    expect(answer).to_contain_text("GB of memory in use")
    growing = [text for text in page.evaluate("window.seen") if "two plus" in text]
    assert len(growing) > 1


def test_an_answer_that_broke_off_goes_on(page: Page) -> None:
    page.route("**/v1/chat/completions", few_tokens)
    answer = send(page, "What is two plus two?")
    expect(answer.get_by_text("as long as it may be")).to_be_visible()
    begun = answer.locator(".prose-myna").inner_text()
    assert "four" not in begun
    page.unroute("**/v1/chat/completions")
    answer.get_by_role("button", name="Continue").click()
    expect(answer.locator(".prose-myna")).to_have_text(re.compile(f"^{begun}.*four"))
    expect(answer.get_by_role("button", name="Continue")).to_have_count(0)
    answer.get_by_role("button", name="Answer again").click()
    expect(answered(page)).to_contain_text("2 of 2")


def few_tokens(route: Route) -> None:
    """Ask for no more than three."""
    route.continue_(post_data={**route.request.post_data_json, "max_tokens": 3})


def test_a_question_is_edited_answered_again_and_found_later(page: Page) -> None:
    send(page, "What is three plus one?")
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Edit").fill("What is three plus two?")
    page.get_by_role("button", name="Ask again").click()
    expect(answered(page).locator(".prose-myna")).to_have_text(re.compile("five"))
    page.get_by_role("button", name="Answer again").click()
    expect(answered(page)).to_contain_text("2 of 2")
    wait_until_kept(page, "three plus two is five", count=2)
    page.reload()
    page.get_by_role("button", name="Show or hide conversations").click()
    page.get_by_role("searchbox").fill("three plus two is five")
    page.get_by_role("button", name="What is three plus one?", exact=True).first.click()
    expect(page.get_by_role("article", name="nano")).to_contain_text("five")


@pytest.mark.parametrize(
    ("file", "text", "shown"),
    [
        (A_THING, "what thing do you see", "img"),
        (A_SUM, "", "audio"),
        (A_CLIP, "what moved", "video"),
    ],
    ids=["picture", "sound", "clip"],
)
def test_files_are_answered(page: Page, file: Path, text: str, shown: str) -> None:
    page.locator("form input[type=file]").set_input_files(file)
    expect(page.get_by_role("button", name=f"Remove {file.name}")).to_be_visible()
    send(page, text)
    expect(question(page).locator(shown)).to_have_count(1)


def test_what_the_microphone_hears_is_answered(page: Page) -> None:
    page.get_by_role("button", name="Record a sound").click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_text("recording.wav")).to_be_visible()
    send(page)
    length_s = (
        question(page)
        .locator("audio")
        .evaluate(
            "a => a.duration || new Promise((r) => (a.onloadedmetadata = () => r(a.duration)))"
        )
    )
    assert length_s > 1.5


def test_what_the_camera_sees_is_answered(page: Page) -> None:
    page.get_by_role("button", name="Open the camera").click()
    page.locator("form video").evaluate(
        "v => v.videoWidth || new Promise((r) => (v.onplaying = () => r(v.videoWidth)))"
    )
    page.get_by_role("button", name="Take the picture").click()
    send(page, "what thing do you see")
    url = question(page).locator("img").get_attribute("src") or ""
    taken = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert likeness(taken, Image.open(A_THING)) > ALIKE


def test_a_spoken_answer_is_heard_and_played_again_word_by_word(page: Page) -> None:
    page.get_by_role("button", name="Speak answers").click()
    answer = send(page, "What is seven plus five?")
    expect(answer).to_contain_text("first sound after")
    answer.get_by_role("button", name="Play the answer").click()
    marked = page.evaluate(MARKED)
    assert len(marked) >= NUM_WORDS
    assert marked == sorted(marked, key=len)
    assert "twelve" in marked[-1]
    expect(answer.get_by_role("button", name="Play the answer")).to_be_visible()


def test_all_things_to_try_are_answered(page: Page) -> None:
    offered = page.get_by_role("region", name="Four things to try").get_by_role("button")
    expect(offered).to_have_count(NUM_TRIES)
    for number in range(NUM_TRIES):
        offered.nth(number).click()
        answered(page)
        page.keyboard.press("Control+Shift+o")


def test_a_voice_can_be_heard_before_it_is_chosen(page: Page) -> None:
    page.get_by_role("button", name="Settings", exact=True).click()
    with page.expect_response("**/v1/audio/speech") as waiting:
        page.get_by_role("button", name="Hear nano").click()
    samples = np.frombuffer(waiting.value.body(), "<i2")
    assert np.abs(samples).max() > 1000
    page.get_by_role("radio", name="nano").check()


def test_the_model_is_put_away_and_fetched_again(page: Page) -> None:
    page.get_by_role("button", name="Models", exact=True).click()
    row = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="nano"))
    expect(row).to_contain_text("Apache-2.0")
    expect(row).to_contain_text("needs 0.5 GB")
    row.get_by_role("button", name="Unload nano").click()
    row.get_by_role("button", name="Load nano").click()
    expect(row.get_by_role("button", name="Unload nano")).to_be_visible(timeout=ANSWER_MS)
    page.get_by_role("button", name="Talk", exact=True).click()
    expect(send(page, "What is two plus two?")).to_contain_text("four")


def test_the_speed_of_a_model_is_measured(page: Page) -> None:
    page.get_by_role("button", name="Models", exact=True).click()
    row = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="nano"))
    row.get_by_role("button", name="Measure the speed of nano").click()
    expect(row).to_contain_text(re.compile(r"about [\d.]+ tokens/s"), timeout=ANSWER_MS)
