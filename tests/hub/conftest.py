"""A hub on loopback, which can misbehave, and settings that point to it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from myna import embedded
from myna.core.settings import Settings
from myna.hub.download import Connection

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def empty_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tests see no model but those of their own."""
    monkeypatch.setattr(embedded, "folder", lambda: None)


class Hub:
    """Files to serve, and how to misbehave while serving them.

    Attributes:
        files: by their path in the address.
        cuts: for a path, after how many bytes of each answer the connection breaks, in order.
        answers: for a path, an odd (status, headers, body) to give instead.
        requests: every request seen, as (path, headers).
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: dict[str, list[int]] = {}
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.ignores_ranges = False
        self.endpoint = ""

    def add_repository(self, name: str, files: dict[str, bytes], *, revision: str) -> None:
        """Offer a repository, with a listing like the hub's."""
        siblings = []
        for path, data in files.items():
            self.files[f"/{name}/resolve/{revision}/{path}"] = data
            self.files[f"/models/{name}/resolve/master/{path}"] = data
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
            sibling = {"rfilename": path, "size": len(data), "blobId": blob.hexdigest()}
            if path.endswith(".safetensors"):
                sha256 = hashlib.sha256(data).hexdigest()
                sibling["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 135}
            siblings.append(sibling)
        listing = json.dumps({"id": name, "sha": revision, "siblings": siblings}).encode()
        for wish in (revision, "main"):
            self.files[f"/api/models/{name}/revision/{wish}?blobs=true"] = listing

    def ranges_of(self, path: str) -> list[str | None]:
        """Tell with which ranges a path was asked for."""
        return [headers.get("Range") for asked, headers in self.requests if asked.endswith(path)]


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub = self.hub
        hub.requests.append((self.path, dict(self.headers)))
        if self.path in hub.answers:
            status, headers, body = hub.answers[self.path]
            self._send(status, headers, body)
            return
        data = hub.files.get(self.path)
        if data is None:
            self._send(404, {}, b"")
            return
        status, start = 200, 0
        headers = {}
        asked = self.headers.get("Range")
        if asked and not hub.ignores_ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self._send(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
                return
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cuts = hub.cuts.get(self.path, [])
        self._send(status, headers, data[start:], cut=cuts.pop(0) if cuts else None)

    def _send(
        self, status: int, headers: dict[str, str], body: bytes, *, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its base's name
        """Keep quiet."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Run a hub for one test."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        hub.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield hub
        server.shutdown()
        thread.join()


@pytest.fixture
def connection() -> Connection:
    """Be impatient, as tests should."""
    return Connection(timeout_s=5.0, first_pause_s=0.001)


@pytest.fixture
def settings(hub: Hub, tmp_path: Path) -> Settings:
    """Point to the hub of the test, and keep models in its folder."""
    return Settings(home=tmp_path / "home", hub_endpoint=hub.endpoint, mirror_endpoint=hub.endpoint)
