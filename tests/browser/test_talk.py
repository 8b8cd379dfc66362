"""Talk: ask, stop, edit, branch, answer again, attach, listen, copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect


def ask(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Answer again").last).to_be_visible()


def test_an_answer_is_written_and_measured(page: Page) -> None:
    ask(page, "hello **there**")
    answer = page.get_by_role("article", name="echo")
    expect(answer.locator("strong")).to_have_text("there")
    expect(answer).to_contain_text("tokens/s")


def test_code_is_copied_and_formulas_are_drawn(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, "so $x^2$\n\n```py\nprint(1)\n```")
    answer = page.get_by_role("article", name="echo")
    expect(answer.locator(".katex").first).to_be_visible()
    answer.get_by_role("button", name="Copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()").strip() == "print(1)"


def test_an_answer_can_be_stopped(page: Page) -> None:
    page.get_by_label("Message").fill("word " * 400)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()


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


def test_other_files_are_refused_by_name(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "notes.xyz"
    path.write_text("x")
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_role("alert")).to_have_text("notes.xyz is no picture, sound or clip.")


def test_a_spoken_answer_can_be_played_again(page: Page) -> None:
    page.get_by_role("button", name="Speak answers").click()
    ask(page, "say these words one after the other until they are said")
    expect(page.get_by_text("first sound after")).to_be_visible()
    page.get_by_role("button", name="Play the answer").click()
    expect(page.locator("mark")).to_contain_text("say")
    expect(page.get_by_role("button", name="Play the answer")).to_be_visible()


@pytest.mark.parametrize(("code", "placeholder"), [("fr", "Demandez"), ("zh", "提问")])
def test_the_app_speaks_other_languages(page: Page, code: str, placeholder: str) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Language").select_option(code)
    page.goto(page.url.split("#")[0])
    expect(page.get_by_placeholder(placeholder)).to_be_visible()


def test_the_microphone_can_be_recorded(page: Page) -> None:
    page.get_by_role("button", name="Record a sound").click()
    page.wait_for_timeout(400)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.get_by_text("recording.wav")).to_be_visible()
    ask(page, "what did i say")
    expect(page.get_by_role("article", name="You").locator("audio")).to_have_count(1)


def test_the_camera_takes_a_picture(page: Page) -> None:
    page.get_by_role("button", name="Open the camera").click()
    page.locator("form video").evaluate(
        "v => v.videoWidth || new Promise((r) => (v.onplaying = r))"
    )
    page.wait_for_timeout(300)
    page.get_by_role("button", name="Take the picture").click()
    expect(page.get_by_role("img", name="camera.jpg")).to_be_visible()


def test_what_the_empty_screen_offers_is_really_asked(page: Page) -> None:
    page.get_by_role("region", name="Four things to try").get_by_role("button").first.click()
    expect(page.get_by_role("button", name="Answer again")).to_be_visible()
    expect(page.get_by_role("article", name="You")).to_be_visible()
