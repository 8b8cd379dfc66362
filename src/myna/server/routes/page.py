"""`GET /`: a plain page to chat with, so that the address works in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def index(request: Request) -> Response:
    """Show the page; it calls this server only."""
    page = read_page()
    return Response(
        page,
        media_type="text/html; charset=utf-8",
        headers={"content-security-policy": content_policy(page), "cache-control": "no-cache"},
    )


@cache
def read_page() -> str:
    """Read the page from the package."""
    return files("myna.server").joinpath("static/index.html").read_text(encoding="utf-8")


@cache
def content_policy(page: str) -> str:
    """Allow the page its own script and style, by their digests, and calls to its own server."""
    scripts, styles = (
        " ".join(f"'sha256-{_digest(text)}'" for text in re.findall(pattern, page, re.DOTALL))
        for pattern in ("<script>(.*?)</script>", "<style>(.*?)</style>")
    )
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


routes = [Route("/", index)]
