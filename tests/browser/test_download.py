"""A model is downloaded: with progress, broken off, gone on with, and then here."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from myna.hub.catalogue import catalogue

MODEL = "deepseek-r1-distill-qwen-14b"  # the catalogue knows no checksums of it
PIECE = 2**16
PIECE_S = 0.03
WEIGHTS = np.random.default_rng(0).bytes(64 * PIECE)
FILES = {"model.safetensors": WEIGHTS, "config.json": b"{}", "tokenizer.json": b"{}"}


class Hub(BaseHTTPRequestHandler):
    """Offer one model, on a slow line; `ranges` are those that were asked for."""

    ranges: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Give the listing, or a file from where it is asked for."""
        name = self.path.rpartition("/")[2]
        data = FILES.get(name) or listing()
        asked = self.headers.get("Range")
        start = 0
        if asked is not None:
            self.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        self.send_response(200 if asked is None else 206)
        self.send_header("Content-Length", str(len(data) - start))
        if asked is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        try:
            for at in range(start, len(data), PIECE):
                self.wfile.write(data[at : at + PIECE])
                time.sleep(PIECE_S)
        except ConnectionError:
            self.close_connection = True  # it was broken off

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its base's name
        """Keep quiet."""


def listing() -> bytes:
    """List the files as the hub does."""
    siblings = [
        {
            "rfilename": path,
            "size": len(data),
            "lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)},
        }
        for path, data in FILES.items()
    ]
    entry = catalogue()[MODEL]
    return json.dumps({"sha": entry.revision, "siblings": siblings}).encode()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Run the hub."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server_command(endpoint: str) -> tuple[str, ...]:
    """Serve the echo, and fetch models from that hub."""
    serve = (sys.executable, "-m", "myna", "serve", "--echo", "--port", "0")
    return ("env", f"MYNA_HUB_ENDPOINT={endpoint}", *serve)


def test_a_download_shows_its_progress_is_broken_off_and_goes_on(page: Page) -> None:
    page.get_by_role("button", name="Models", exact=True).click()
    row = page.get_by_role("listitem").filter(
        has=page.get_by_role("heading", name=MODEL, exact=True)
    )
    download = row.get_by_role("button", name=f"Download {MODEL}")
    download.click()
    progress = row.get_by_role("progressbar", name=f"Download {MODEL}")
    expect(progress).to_be_visible()
    while progress.evaluate("bar => bar.value") == 0:
        page.wait_for_timeout(50)
    row.get_by_role("button", name=f"Stop {MODEL}").click()
    expect(download).to_be_visible()
    download.click()
    expect(row).to_contain_text("On this machine")
    expect(row.get_by_role("button", name=f"Load {MODEL}")).to_be_visible()
    assert any(int(asked.removeprefix("bytes=").rstrip("-")) > 0 for asked in Hub.ranges)
