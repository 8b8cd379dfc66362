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


@pytest.mark.parametrize(("code", "placeholder"), [("fr", "Demandez"), ("zh", "提问")])
def test_the_app_speaks_other_languages(page: Page, code: str, placeholder: str) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Language").select_option(code)
    page.goto(page.url.split("#")[0])
    expect(page.get_by_placeholder(placeholder)).to_be_visible()
