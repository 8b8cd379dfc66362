"""A thread of a thousand messages, with lists, code, tables and formulas, scrolls smoothly."""

from __future__ import annotations

import logging
import math
from itertools import pairwise

from playwright.sync_api import Page

MAX_FRAME_MS = 50
NUM_ATTEMPTS = 3  # caches are shared with all that runs beside
OPEN_MS = 30_000
SETTLED_MS = 500
NUM_MESSAGES = 1000
ANSWERS = (
    "Some **bold** words, `code`, and a list:\n\n- one\n- two\n- three\n\n" + "Words go on. " * 20,
    "```python\nfor number in range(10):\n    print(number)\n```\n\nand what it does: "
    + "words " * 30,
    "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nSo $x^2 + y^2 = z^2$, and\n\n$$\\sum_i x_i$$",
    "Plain. " * 60,
)
STEPS_PX = [-400] * 60 + [-8000] * 20 + [400] * 40  # a fast wheel, the bar dragged, the wheel again
SCROLL = """async (by) => {
  document.querySelector("[data-scroller]").scrollTop += by;
  await new Promise((resolve) => requestAnimationFrame(resolve));
}"""


def test_a_thousand_messages_scroll_without_frames_over_50_ms(page: Page) -> None:
    base = page.url.split("#")[0]
    brought = page.request.post(f"{base}api/v1/conversations/import", data=long_one(page, base))
    assert brought.ok, brought.text()
    page.get_by_role("button", name="Show or hide conversations").click()
    page.get_by_role("button", name="a very long one", exact=True).first.click()
    # Waits that do not quote the whole page when they fail.
    page.get_by_text(f"message {NUM_MESSAGES - 2} ").wait_for(timeout=OPEN_MS)
    page.locator(".prose-myna").last.wait_for(timeout=OPEN_MS)
    page.wait_for_timeout(SETTLED_MS)
    slowest_ms: list[float] = []
    while len(slowest_ms) < NUM_ATTEMPTS and min(slowest_ms, default=math.inf) > MAX_FRAME_MS:
        slowest_ms.append(max(frames_ms(page)))
    logging.getLogger(__name__).info("slowest frames of scrolling: %s ms", slowest_ms)
    assert min(slowest_ms) <= MAX_FRAME_MS


def frames_ms(page: Page) -> list[float]:
    """Scroll, and give the time on the page's thread that each frame took."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def passed_s() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

    times_s = [passed_s()]
    for by in STEPS_PX:
        page.evaluate(SCROLL, by)
        times_s.append(passed_s())
    session.detach()
    return [1000 * (after - before) for before, after in pairwise(times_s)]


def long_one(page: Page, base: str) -> dict[str, object]:
    """Make an export of a thousand messages, out of one of two."""
    made = page.request.post(f"{base}api/v1/conversations", data={"title": "two", "model": "echo"})
    address = f"{base}api/v1/conversations/{made.json()['id']}"
    for role in ("user", "assistant"):
        page.request.post(f"{address}/messages", data={"role": role, "content": "x"})
    kept: dict[str, object] = page.request.get(f"{address}/export").json()
    messages, conversation = kept["messages"], kept["conversation"]
    assert isinstance(messages, list)
    assert isinstance(conversation, dict)
    chain: list[dict[str, object]] = []
    for number in range(NUM_MESSAGES):
        text = ANSWERS[number // 2 % len(ANSWERS)] if number % 2 else f"message {number} "
        content = [{"type": "text", "text": text}]
        parent = chain[-1]["id"] if chain else None
        copy = {"id": f"msg_{number}", "parent_id": parent, "content": content}
        chain.append({**messages[number % 2], **copy})
    leaf = {"title": "a very long one", "leaf_id": chain[-1]["id"]}
    return {**kept, "messages": chain, "conversation": {**conversation, **leaf}}
