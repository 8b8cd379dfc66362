"""Conversations are kept, found, renamed, pinned, taken away, brought back and deleted."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from kept_talk import wait_until_kept


def ask(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Answer again").last).to_be_visible()


def open_sidebar(page: Page) -> None:
    page.get_by_role("button", name="Show or hide conversations").click()


def test_a_conversation_is_kept_with_its_branches(page: Page) -> None:
    ask(page, "a pelican once")
    page.get_by_role("button", name="Answer again").click()
    expect(page.get_by_text("2 of 2")).to_be_visible()
    expect(page.get_by_role("button", name="Send")).to_be_visible()
    wait_until_kept(page, "a pelican once", count=2)
    page.reload()
    open_sidebar(page)
    page.get_by_role("button", name="a pelican once", exact=True).first.click()
    expect(page.get_by_text("2 of 2")).to_be_visible()
    expect(page.get_by_role("article", name="echo")).to_contain_text("a pelican once")


def test_it_is_found_by_what_was_said(page: Page) -> None:
    ask(page, "the word is zanzibar")
    open_sidebar(page)
    page.get_by_role("searchbox").fill("zanzibar")
    expect(page.get_by_text("«zanzibar»").first).to_be_visible()
    page.get_by_role("searchbox").fill("no such word anywhere")
    expect(page.get_by_text("Nothing found.")).to_be_visible()


def test_it_is_renamed_pinned_and_deleted(page: Page) -> None:
    ask(page, "rename me")
    open_sidebar(page)
    page.once("dialog", lambda dialog: dialog.accept("another name"))
    page.get_by_role("button", name="More about rename me").click()
    page.get_by_role("menuitem", name="Rename rename me").click()
    page.get_by_role("button", name="More about another name").click()
    page.get_by_role("menuitem", name="Pin another name").click()
    expect(page.get_by_text("• another name")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="More about another name").click()
    page.get_by_role("menuitem", name="Delete").click()
    expect(page.get_by_text("another name")).to_have_count(0)


def taken_away(page: Page, said: str, form: str, folder: Path) -> Path:
    """Say something, and export the conversation to a file."""
    ask(page, said)
    open_sidebar(page)
    page.get_by_role("button", name=f"More about {said}").click()
    with page.expect_download() as waiting:
        page.get_by_role("menuitem", name=form).click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def test_it_is_taken_away_and_brought_back(page: Page, tmp_path: Path) -> None:
    path = taken_away(page, "take me away", "as JSON", tmp_path)
    page.locator("aside input[type=file]").set_input_files(path)
    expect(page.get_by_role("button", name="More about take me away")).to_have_count(2)


def test_it_is_written_down_as_markdown(page: Page, tmp_path: Path) -> None:
    path = taken_away(page, "write **me** down", "as Markdown", tmp_path)
    assert path.read_text().count("write **me** down") >= 2


def test_a_temporary_conversation_leaves_no_trace(page: Page) -> None:
    open_sidebar(page)
    page.get_by_role("button", name="Temporary conversation").click()
    expect(page.get_by_text("This conversation is not kept.")).to_be_visible()
    ask(page, "quicksilver secret")
    page.get_by_role("searchbox").fill("quicksilver")
    expect(page.get_by_text("Nothing found.")).to_be_visible()
