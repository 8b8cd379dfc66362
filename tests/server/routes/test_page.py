"""The page: self-contained, and locked in by its policy; the web app where it was built."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import httpx
import pytest

from myna.server.routes import page

MAX_LINES = 200


@pytest.fixture(autouse=True)
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the app's build elsewhere, where nothing is built yet."""
    folder = tmp_path / "app"
    monkeypatch.setattr(page, "APP", folder)
    return folder


async def test_the_app_is_served_where_it_was_built(client: httpx.AsyncClient, build: Path) -> None:
    (build / "assets").mkdir(parents=True)
    (build / "index.html").write_text("<p>the app</p>")
    (build / "assets" / "a.js").write_text("1")
    (build / "myna.svg").write_text("<svg/>")
    answer = await client.get("/")
    assert answer.text == "<p>the app</p>"
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    script = await client.get("/assets/a.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "immutable" in script.headers["cache-control"]
    assert (await client.get("/myna.svg")).headers["cache-control"] == "no-cache"


async def test_only_files_of_the_build_can_be_named(client: httpx.AsyncClient, build: Path) -> None:
    (build / "assets").mkdir(parents=True)
    (build.parent / "secret").write_text("!")
    for name in ("b.js", "../../secret", "%2e%2e/%2e%2e/secret", "..%2f..%2fsecret", "/etc/passwd"):
        assert (await client.get(f"/assets/{name}")).status_code in (400, 404)
    assert not page.is_page_file("/v1/models")


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
