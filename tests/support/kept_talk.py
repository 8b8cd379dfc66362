"""What the app has kept on its server: it does so turn by turn, after each is shown."""

from __future__ import annotations

from playwright.sync_api import Page

COUNT_ANSWERS = """async ([text, count]) => {
  const get = async (path) => (await (await fetch(path)).json()).data;
  let found = 0;
  for (const { id } of await get("api/v1/conversations?limit=200")) {
    for (const { role, status, content } of await get(`api/v1/conversations/${id}/messages`)) {
      const says = content.some((piece) => piece.type === "text" && piece.text.includes(text));
      if (role === "assistant" && status === "complete" && says) found += 1;
    }
  }
  return found >= count;
}"""
POLL_MS = 100


def wait_until_kept(page: Page, text: str, *, count: int = 1) -> None:
    """Wait until so many whole answers that say `text` are on the server."""
    page.wait_for_function(COUNT_ANSWERS, arg=[text, count], polling=POLL_MS)
