"""`GET /`: the web app; in a copy of the package that was built without it, a plain page to chat
with, so that the address works in a browser.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

STATIC = Path(__file__).parents[1] / "static"
APP = STATIC / "app"
ASSETS = "/assets/"  # what the app loads; their names change with their contents
ROOT_FILES = ("myna.svg", "capture.js", "manifest.webmanifest", "sw.js")
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".webmanifest": "application/manifest+json",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
# KaTeX sets styles of single elements; pictures and sounds are made on the page.
APP_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


async def index(request: Request) -> Response:
    """Show the page; it calls this server only."""
    page, policy = read_page(APP / "index.html")
    return Response(
        page,
        media_type="text/html; charset=utf-8",
        headers={"content-security-policy": policy, "cache-control": "no-cache"},
    )


async def asset(request: Request) -> Response:
    """Give a file of the app's build; no other can be named."""
    name = request.url.path.removeprefix("/")
    path = built_files(APP).get(name)
    if path is None:
        raise HTTPException(404)
    lasting = f"/{name}".startswith(ASSETS)
    return FileResponse(
        path,
        media_type=MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
        headers={"cache-control": "max-age=31536000, immutable" if lasting else "no-cache"},
    )


@cache
def read_page(app: Path) -> tuple[str, str]:
    """Read the app's page, or else the plain one, and make its policy."""
    if app.is_file():
        return app.read_text(encoding="utf-8"), APP_POLICY
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    return page, content_policy(page)


@cache
def built_files(folder: Path) -> dict[str, Path]:
    """List the files of the app's build by their names below its folder."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.name != "index.html"
    }


def is_page_file(path: str) -> bool:
    """Tell whether a path is the page or a part of it, which anybody may read."""
    return path == "/" or path.removeprefix("/") in built_files(APP)


def content_policy(page: str) -> str:
    """Allow the plain page its own script and style, by their digests, and its own server."""
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


routes = [
    Route("/", index),
    Route("/assets/{name:path}", asset),
    Route("/tries/{name}", asset),
    *(Route(f"/{name}", asset) for name in ROOT_FILES),
]
