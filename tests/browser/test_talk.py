"""Talk: ask, stop, edit, branch, answer again, attach, listen, copy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from kept_talk import wait_until_kept

MANY = 600  # words: time enough to stop
MANY_MS = 30_000  # in which they come on a busy machine


def ask(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Answer again").last).to_be_visible()


def test_an_answer_is_written_and_measured(page: Page) -> None:
    ask(page, "hello **there**")
    answer = page.get_by_role("article", name="echo")
    expect(answer.locator("strong")).to_have_text("there")
    expect(answer).to_contain_text(re.compile(r"\d tokens/s, first token after [\d.]+ s"))
    expect(answer).to_contain_text(re.compile(r"[\d.]+ GB of memory in use"))


def test_reasoning_is_folded_away_with_the_time_it_took(page: Page) -> None:
    ask(page, "/think well, it rains\nso it is wet")
    answer = page.get_by_role("article", name="echo")
    expect(answer.locator(".prose-myna")).to_have_text("so it is wet")
    expect(answer.get_by_text("well, it rains")).to_be_hidden()
    answer.get_by_text(re.compile(r"Thought for \d+ s")).click()
    expect(answer.get_by_text("well, it rains")).to_be_visible()


def test_code_is_copied_and_formulas_are_drawn(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "so $x^2$\n\n```py\nprint(1)\n```")
    answer = page.get_by_role("article", name="echo")
    expect(answer.locator(".katex").first).to_be_visible()
    answer.get_by_role("button", name="Copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()").strip() == "print(1)"


def test_an_answer_can_be_stopped(page: Page) -> None:
    page.get_by_label("Message").fill("word " * MANY)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_stopped_answer_goes_on_in_its_place_and_is_kept(page: Page) -> None:
    text = " ".join(f"word{number}" for number in range(MANY))
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")
    answer = page.get_by_role("article", name="echo")
    expect(answer).to_contain_text("word0 word1 ")  # without text there is nothing to continue
    page.get_by_role("button", name="Stop").click()
    expect(answer.get_by_text("Stopped.")).to_be_visible()
    assert answer.locator(".prose-myna").inner_text() != text
    answer.get_by_role("button", name="Continue").press("Enter")
    expect(answer.locator(".prose-myna")).to_have_text(text, timeout=MANY_MS)
    expect(answer.get_by_text("Stopped.")).to_be_hidden()
    expect(answer.get_by_role("button", name="Continue")).to_have_count(0)
    expect(answer).not_to_contain_text("of 2")
    wait_until_kept(page, text)
    page.reload()
    page.get_by_role("button", name="Show or hide conversations").click()
    page.get_by_role("button", name=re.compile("^word0 ")).first.click()
    expect(answer.locator(".prose-myna")).to_have_text(text)


def test_an_answer_that_is_as_long_as_it_may_be_goes_on_and_can_be_had_anew(page: Page) -> None:
    page.route("**/v1/chat/completions", few_tokens)
    ask(page, "one two three four")
    answer = page.get_by_role("article", name="echo")
    expect(answer.get_by_text("as long as it may be")).to_be_visible()
    expect(answer.locator(".prose-myna")).to_have_text("one two")
    page.unroute("**/v1/chat/completions")
    answer.get_by_role("button", name="Continue").click()
    expect(answer.locator(".prose-myna")).to_have_text("one two three four")
    answer.get_by_role("button", name="Answer again").click()
    expect(page.get_by_text("2 of 2")).to_be_visible()


def few_tokens(route: Route) -> None:
    """Ask for no more than two."""
    route.continue_(post_data={**route.request.post_data_json, "max_tokens": 2})


def test_a_question_can_be_edited_and_the_old_branch_shown_again(page: Page) -> None:
    ask(page, "first")
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("textbox", name="Edit").fill("second")
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("article", name="echo")).to_contain_text("second")
    expect(page.get_by_text("2 of 2")).to_be_visible()
    page.get_by_role("button", name="Earlier version").click()
    expect(page.get_by_role("article", name="echo")).to_contain_text("first")


def test_an_answer_can_be_had_again(page: Page) -> None:
    ask(page, "once")
    page.get_by_role("button", name="Answer again").click()
    expect(page.get_by_text("2 of 2")).to_be_visible()


def test_pictures_go_along_and_can_be_taken_back(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (40, 30), (255, 0, 0)).save(path)
    chooser = page.locator("input[type=file]")
    chooser.set_input_files([path, path])
    page.get_by_role("button", name="Remove red.png").first.click()
    ask(page, "what is it")
    expect(page.get_by_role("article", name="You").locator("img")).to_have_count(1)


@pytest.mark.parametrize(("kind", "place"), [("drop", "main"), ("paste", "textarea")])
def test_files_are_dropped_and_pasted(page: Page, kind: str, place: str) -> None:
    page.evaluate(CARRY, [kind, place, [["a.png", "image/png"], ["b.wav", "audio/wav"]]])
    for name in ("a.png", "b.wav"):
        expect(page.get_by_role("button", name=f"Remove {name}")).to_be_visible()
    page.evaluate(CARRY, [kind, place, [["c.mp4", "video/mp4"]]])
    expect(page.get_by_role("button", name="Remove c.mp4")).to_be_visible()


CARRY = """([kind, place, files]) => {
  const carried = new DataTransfer();
  const bytes = new Uint8Array(9);
  for (const [name, type] of files) carried.items.add(new File([bytes], name, { type }));
  const init = { bubbles: true, cancelable: true };
  const event = kind === "drop"
    ? new DragEvent("drop", { ...init, dataTransfer: carried })
    : new ClipboardEvent("paste", { ...init, clipboardData: carried });
  document.querySelector(place).dispatchEvent(event);
}"""


def test_other_files_are_refused_by_name(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "notes.xyz"
    path.write_text("x")
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_role("alert")).to_have_text("notes.xyz is no picture, sound or clip.")


@pytest.mark.parametrize(("code", "placeholder"), [("fr", "Demandez"), ("zh", "提问")])
def test_the_app_speaks_other_languages(page: Page, code: str, placeholder: str) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Language").select_option(code)
    page.goto(page.url.split("#")[0])
    expect(page.get_by_placeholder(placeholder)).to_be_visible()
