"""The built-in page: self-contained, and locked in by its policy."""

from __future__ import annotations

import base64
import hashlib
import re

import httpx

MAX_LINES = 200


async def test_the_page_calls_nobody_but_this_server(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    addresses = re.findall(r"(?:https?:)?//[a-z][^'\" ]*", answer.text)
    assert set(addresses) == {"http://www.w3.org/2000/svg"}
    assert len(answer.text.splitlines()) < MAX_LINES


async def test_the_policy_allows_this_script_and_this_style_only(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


async def test_the_page_builds_no_html_from_what_a_model_says(client: httpx.AsyncClient) -> None:
    page = (await client.get("/")).text
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", page)
